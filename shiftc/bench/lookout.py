"""Sees whether the cores are this process's own.

Under a hypervisor they may not be. A neighbour may share a core's execution units and caches, two of the
machine's cores may be one for a second, or have no cache in common, and nothing tells a guest so. What it can
do is look: a loop that needs all of a core takes longer on one that is shared, and tasks take several times
as long to meet where caches are far apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs

from schedules.demanding import demanding_loop
from schedules.meeting import meetings
from shiftc.runtime.threads import use_threads
from shiftc.target import parse_target

_SLOWER, _LATER = 0.05, 1.0
"""Shares by which the loop may be slower, and meetings later, on calm cores."""


@attrs.frozen
class Sight:
    """Seconds of the loop on all threads, and of tasks that meet; a single one meets nobody."""

    loop: float
    meeting: float = 0.0

    def unrest(self, best: Sight) -> float:
        """How much slower that was than the machine has been seen to be; 1 is the most that calm cores are.

        A core alone varies by two or three hundredths; one with a neighbour takes a tenth longer and more.
        Tasks that meet on one core are the fastest to do so, those of two cores with a common cache need
        little more.
        """
        late = self.meeting / best.meeting - 1 if best.meeting else 0.0
        return max((self.loop / best.loop - 1) / _SLOWER, late / _LATER)


def best_of(sights: Iterable[Sight]) -> Sight:
    """The least of either figure."""
    seen = list(sights)
    return Sight(min(sight.loop for sight in seen), min(sight.meeting for sight in seen))


Look = Callable[[], Sight]


def lookout(threads: int, affinity: tuple[int, ...] = ()) -> Look:
    """Looks at the cores of so many threads of this process, for about five milliseconds.

    affinity: a core for each thread, as of a session.
    """
    target = parse_target("host")
    loop = demanding_loop(target, threads)
    met = meetings(target, threads) if threads > 1 else None

    def look() -> Sight:
        use_threads(threads, affinity)  # not in what is timed: workers may have to be bound again
        seconds = seconds_of(loop)
        return Sight(seconds, seconds_of(met.run) / met.count if met else 0.0)

    return look


def seconds_of(run: Callable[[], object]) -> float:
    """What one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
