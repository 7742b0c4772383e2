"""Times runtimes on a machine that is not theirs alone: other processes keep cores busy, or runtimes follow
each other without a pause, and find what the one before has left of the cores.

Nothing is waited for and no turn is taken again: what disturbs is what is asked about. Every call counts.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from shiftc.bench.lookout import seconds_of
from shiftc.bench.turns import Measured, Runnable

_TURN_SECONDS = 0.1
_FEWEST, _MOST = 5, 100
"""Calls of a turn."""
_WARM_CALLS = 10
"""Before the first turn, of each; a runtime may have to find out what the machine is like."""

_LOOP = """
import os, sys
parent, core = map(int, sys.argv[1:])
os.sched_setaffinity(0, {core})
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """While the context is open, a process for each of the last `count` cores computes on it without end.

    Raises ValueError where this process may not use so many cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        raise ValueError(f"{count} cores cannot be kept busy: there are {len(cores)}")
    with ExitStack() as stack:
        for core in cores[len(cores) - count :]:
            command = [sys.executable, "-I", "-S", "-c", _LOOP, str(os.getpid()), str(core)]
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        yield


def time_contended(runnables: Mapping[str, Runnable], rounds: int, back_to_back: bool) -> Measured:
    """Times all calls of every runnable, in `rounds` turns of about a tenth of a second each.

    back_to_back: calls take turns one by one, with no pause between them; else a runnable is called again and
    again in its turn.
    """
    estimates = {name: _warmed(run) for name, run in runnables.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runnables}
    slowest = max(estimates.values())
    for _ in range(rounds):
        if back_to_back:
            for _ in range(_calls(slowest)):
                for name, run in runnables.items():
                    seconds[name].append(seconds_of(run))
            continue
        for name, run in runnables.items():
            seconds[name] += [seconds_of(run) for _ in range(_calls(estimates[name]))]
    return Measured({name: tuple(times) for name, times in seconds.items()}, disturbed=False)


def _warmed(run: Runnable) -> float:
    """Seconds of the last of some calls."""
    *_, last = (seconds_of(run) for _ in range(_WARM_CALLS))
    return last


def _calls(seconds: float) -> int:
    return max(_FEWEST, min(_MOST, math.ceil(_TURN_SECONDS / seconds)))
