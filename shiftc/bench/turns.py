"""Runs several callables in turns, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

_TURN_SECONDS = 2e-3
_BUDGET_SECONDS = 10.0

Runnable = Callable[[], object]


def time_in_turns(
    runnables: Mapping[str, Runnable], rounds: int, pause: float = 0.0
) -> dict[str, tuple[float, ...]]:
    """Seconds per call of every runnable, one average for each of its turns.

    A turn is a pause in seconds, one call that is not timed (caches, threads) and as many timed calls
    as fit into two milliseconds, at least one. A runnable that is so
    slow that `rounds` turns would take more than ten seconds gets fewer, at least three.
    """
    first = {name: _seconds(run, 1) for name, run in runnables.items()}
    first = {name: min(first[name], _seconds(run, 1)) for name, run in runnables.items()}
    turns = {name: _turns(seconds, rounds) for name, seconds in first.items()}
    calls = {name: max(1, math.ceil(_TURN_SECONDS / seconds)) for name, seconds in first.items()}
    measured: dict[str, list[float]] = {name: [] for name in runnables}
    for turn in range(rounds):
        for name in _rotated(list(runnables), turn):
            if turn >= turns[name]:
                continue
            time.sleep(pause)
            run = runnables[name]
            if first[name] < _BUDGET_SECONDS / rounds:
                run()
            measured[name].append(_seconds(run, calls[name]) / calls[name])
    return {name: tuple(times) for name, times in measured.items()}


def _turns(seconds: float, rounds: int) -> int:
    return min(rounds, max(3, int(_BUDGET_SECONDS / (2 * seconds))))


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def _seconds(run: Runnable, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - start
