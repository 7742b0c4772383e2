"""Runs several callables in turns, in bursts, so that what disturbs the machine disturbs all of them.

Whoever uses a network calls it again and again and finds its weights in the caches. Callables that alternated
call by call would evict one another's, so a turn is a burst: calls that are not timed, until caches and
threads are warm, then calls that are timed one by one. The turn's figure is their median: a neighbour who
takes the core away for a moment spoils a call, not the turn.

A neighbour who stays longer spoils turns. Somebody looks at the machine between them, and turns that were
disturbed are taken again.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from shiftc.bench.lookout import Look, Sight, best_of, seconds_of

_BURST_SECONDS = 20e-3
_MOST_CALLS = 50
_WARM_CALLS = 2
_FEWEST_TURNS = 3
_ESTIMATE_SECONDS = 0.2
_PATIENCE = 4
"""Times as many turns as were planned are taken at most."""
_WAITS = 200
_WAIT_SECONDS = 0.1

DEFAULT_BUDGET = 10.0
"""Seconds that all calm turns of one callable together may take."""

Runnable = Callable[[], object]


@attrs.frozen
class Turns:
    """How often a callable is called: `turns` times `warm` calls that are not timed and `timed` ones that
    are."""

    turns: int
    warm: int
    timed: int


def plan_turns(seconds: float, rounds: int, budget: float = DEFAULT_BUDGET) -> Turns:
    """Turns of a callable that takes `seconds`: `rounds`, or as many as fit into `budget` seconds.

    At least three, unless three warm turns take more than twice the budget: then as many single calls as fit,
    at least one.
    """
    warm = _WARM_CALLS if seconds <= _BURST_SECONDS else 1
    timed = min(_MOST_CALLS, math.ceil(_BURST_SECONDS / max(seconds, 1e-9)))
    turn = (warm + timed) * seconds
    if _FEWEST_TURNS * turn > 2 * budget:
        return Turns(min(rounds, max(1, int(budget / seconds))), 0, 1)
    return Turns(min(rounds, max(_FEWEST_TURNS, int(budget / turn))), warm, timed)


@attrs.frozen
class Measured:
    """seconds:   per call of every runnable: the median of each of its turns that count.
    disturbed: there were not enough calm turns; the calmest count.
    """

    seconds: Mapping[str, tuple[float, ...]]
    disturbed: bool


def time_in_turns(
    runnables: Mapping[str, Runnable],
    rounds: int,
    look: Look,
    pause: float = 0.0,
    budgets: Mapping[str, float] | None = None,
    waits: int = _WAITS,
) -> Measured:
    """Times every runnable in calm turns, as many as planned, and waits for calm before a turn.

    Whether a turn was calm is told by looks before and after, which know nothing of what ran in it: to choose
    by them favours nobody. Waiting has an end. Where a runnable has hardly a calm turn after four times as
    many as planned, all are judged by the least calm that leaves each of them three.

    rounds:  calm turns of each, if its budget allows.
    look:    at the machine.
    pause:   seconds to sleep before a turn and before a look.
    budgets: seconds for the calm turns of a runnable, by name, where it is not DEFAULT_BUDGET.
    waits:   tenths of a second that may be waited for calm, in all.
    """
    plans = {
        name: plan_turns(_estimate(run), rounds, (budgets or {}).get(name, DEFAULT_BUDGET))
        for name, run in runnables.items()
    }
    series = {name: _Series(plan.turns) for name, plan in plans.items()}
    watch = _Watch(look, waits)
    for number in range(_PATIENCE * rounds):
        for name in _rotated(list(runnables), number):
            if series[name].wants_more(watch.best):
                before = watch.wait_for_calm()
                time.sleep(pause)
                seconds = _burst(runnables[name], plans[name])
                time.sleep(pause)
                series[name].taken.append(_Turn(seconds, before, watch.look()))
    limit = max(turns.limit(watch.best) for turns in series.values())
    counted = {name: turns.within(limit, watch.best) for name, turns in series.items()}
    return Measured(counted, disturbed=limit > 1)


@attrs.define
class _Watch:
    """Looks at the machine, remembers the best it saw, and waits for it; not for ever."""

    _look: Look
    _waits: int
    last: Sight = attrs.field(init=False)
    best: Sight = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.last = self.best = self._look()

    def look(self) -> Sight:
        self.last = self._look()
        self.best = best_of([self.best, self.last])
        return self.last

    def wait_for_calm(self) -> Sight:
        while self.last.unrest(self.best) > 1 and self._waits > 0:
            self._waits -= 1
            time.sleep(_WAIT_SECONDS)
            self.look()
        return self.last


@attrs.frozen
class _Turn:
    seconds: float
    before: Sight
    after: Sight

    def unrest(self, best: Sight) -> float:
        return max(self.before.unrest(best), self.after.unrest(best))


@attrs.frozen
class _Series:
    """The turns of a runnable, of which `planned` should be calm: nearly as the best that was seen."""

    planned: int
    taken: list[_Turn] = attrs.field(factory=list)

    def within(self, limit: float, best: Sight) -> tuple[float, ...]:
        return tuple(turn.seconds for turn in self.taken if turn.unrest(best) <= limit)

    def wants_more(self, best: Sight) -> bool:
        return len(self.within(1, best)) < self.planned and len(self.taken) < _PATIENCE * self.planned

    def limit(self, best: Sight) -> float:
        """The least unrest that leaves enough turns, at least that of calm."""
        ordered = sorted(turn.unrest(best) for turn in self.taken)
        return max(1.0, ordered[min(_FEWEST_TURNS, self.planned) - 1])


def _estimate(run: Runnable) -> float:
    """The first call may still allocate; it only counts where another would take long."""
    first = seconds_of(run)
    return first if first > _ESTIMATE_SECONDS else min(first, seconds_of(run))


def _burst(run: Runnable, plan: Turns) -> float:
    for _ in range(plan.warm):
        run()
    return statistics.median(seconds_of(run) for _ in range(plan.timed))


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    start = turn % len(names)
    return [*names[start:], *names[:start]]
