"""On how many threads a program runs now: on all of its own, or on fewer where all of them take longer.

A thread whose core something else takes is waited for, so that two threads may take longer than one. Nothing
says so but the time that runs take. So a session runs a few times on fewer threads, remembers how long that
took, and takes what is faster. What it does not take it tries again, after pauses that grow while that does
not help and that are long enough for trials to cost little.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

_RUNS = 5
"""Of a trial."""
_REMEMBERED = 16
"""Runs that say what a number of threads takes, while they are used."""
_OUTLIERS = 8
"""Of so many runs, or fewer, the slowest is left out: what the system interrupts at times says nothing."""
_BETTER = 0.95
"""Share of the time that a trial must not exceed to be followed: less is within noise."""
_FIRST_PAUSE = 20
"""Runs between two trials, at first."""
_GROWTH = 2
"""Of the pause, whenever a trial does not help."""
_LONGEST_PAUSE = 2.0
"""Seconds of running up to which pauses grow by themselves: by then the machine may be another."""
_COST = 0.01
"""Share of the time that trials may cost: a costly one is followed by a longer pause."""
_RETURNED = 10
"""A number of threads that is left again within so many of its pauses had not helped."""


@attrs.define(eq=False)
class _Level:
    """A number of threads. Times and pauses are in seconds of running.

    times: of the last runs on it; known: what a run on it takes, as far as that was seen.
    runs:  on it, ever. since: when the last stay began. tried: when the last trial or stay ended.
    due:   when it may be tried. pause: how long it was not, last.
    """

    threads: int
    times: deque[float] = attrs.field(factory=lambda: deque(maxlen=_REMEMBERED))
    known: float = math.inf
    runs: int = 0
    since: float = 0.0
    tried: float = -math.inf
    due: float = 0.0
    pause: float = 0.0

    def learn(self, seconds: float) -> None:
        """A run took so long."""
        self.times.append(seconds)
        kept = sorted(self.times)[: len(self.times) - -(-len(self.times) // _OUTLIERS)]
        if len(self.times) >= _RUNS:
            self.known = sum(kept) / len(kept)

    def lost(self, known: float) -> float:
        """Seconds that the remembered runs took longer than on threads of which this much is known."""
        return len(self.times) * (self.known - known)

    def rest(self, now: float, pause: float) -> None:
        """Not to be tried again for so long."""
        self.tried, self.pause, self.due = now, pause, now + pause


class ThreadChoice:
    """Says on how many threads each run goes, and is told how long it took.

    It chooses between `most` threads, half as many, and so on down to one: a program's work is dealt out in
    `most` parts, and on a few threads less one of them has as many parts to do as on half of them.
    """

    def __init__(self, most: int) -> None:
        counts = [most]
        while counts[-1] > 1:
            counts.append((counts[-1] + 1) // 2)
        self._levels = [_Level(count) for count in counts]
        self._home = self._current = self._levels[0]
        self._now = 0.0  # seconds of running
        self._begins = True  # the next run is the first on its threads: it wakes them, and finds other caches
        self._cost = 0.0  # what the trial under way has cost

    @property
    def threads(self) -> int:
        """Of the next run."""
        return self._current.threads

    @property
    def runs(self) -> dict[int, int]:
        """How many runs there were on each number of threads."""
        return {level.threads: level.runs for level in self._levels if level.runs}

    def took(self, seconds: float) -> None:
        """The run on `threads` threads took so long."""
        level = self._current
        self._now += seconds
        level.runs += 1
        if not self._begins:
            level.learn(seconds)
        self._begins = False
        if level is not self._home:
            self._cost += seconds - self._home.known
            if len(level.times) == _RUNS or self._cost > _RUNS * self._home.known:
                self._end_trial(level)
        elif len(level.times) >= _RUNS:
            self._begin_trial()

    def _begin_trial(self) -> None:
        """Of a level that is due; of fewer threads also where they are known to be faster than this."""
        home = self._home
        is_known = len(home.times) == _REMEMBERED
        for level in (level for level in self._levels if level is not home):
            is_faster = level.threads < home.threads and (
                home.lost(level.known) > _RUNS * level.known
                or (is_known and level.known < _BETTER * home.known)
            )
            is_rested = self._now >= level.tried + _FIRST_PAUSE * level.known
            if (is_known and self._now >= level.due) or (is_faster and is_rested):
                self._use(level)
                break

    def _end_trial(self, level: _Level) -> None:
        home = self._home
        if len(level.times) == _RUNS and level.known <= _BETTER * home.known:
            stayed = self._now - home.since
            pause = _GROWTH * home.pause if stayed < _RETURNED * home.pause else 0.0
            home.rest(self._now, max(min(pause, _LONGEST_PAUSE), _FIRST_PAUSE * level.known))
            level.since = self._now
            self._home = level
            return
        grown = max(_GROWTH * level.pause, _FIRST_PAUSE * home.known)
        level.rest(self._now, max(min(grown, _LONGEST_PAUSE), self._cost / _COST))
        self._use(home)

    def _use(self, level: _Level) -> None:
        """From the next run on; its times so far were of another time."""
        level.times.clear()
        self._current, self._begins, self._cost = level, True, 0.0
