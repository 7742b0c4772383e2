"""Runs several callables in turns, in bursts, so that what disturbs the machine disturbs all of them.

Whoever uses a network calls it again and again and finds its weights in the caches. Callables that alternated
call by call would evict one another's, so a turn is a burst: calls that are not timed, until caches and
threads are warm, then calls that are timed one by one. The turn's figure is their median: a neighbour who
takes the core away for a moment spoils a call, not the turn.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import attrs

_BURST_SECONDS = 20e-3
_MOST_CALLS = 50
_WARM_CALLS = 2
_FEWEST_TURNS = 3
_ESTIMATE_SECONDS = 0.2
_TRIES = 3
_CALM = 0.05

DEFAULT_BUDGET = 10.0
"""Seconds that all turns of one callable together may take."""

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


def time_in_turns(
    runnables: Mapping[str, Runnable],
    rounds: int,
    pause: float = 0.0,
    budgets: Mapping[str, float] | None = None,
) -> dict[str, tuple[float, ...]]:
    """Seconds per call of every runnable: the median of each of its turns.

    rounds:  turns of each, if its budget allows.
    pause:   seconds to sleep before a turn.
    budgets: seconds for all turns of a runnable, by name, where it is not DEFAULT_BUDGET.
    """
    plans = {
        name: plan_turns(_estimate(run), rounds, (budgets or {}).get(name, DEFAULT_BUDGET))
        for name, run in runnables.items()
    }
    measured: dict[str, list[float]] = {name: [] for name in runnables}
    for turn in range(rounds):
        for name in _rotated(list(runnables), turn):
            if turn < plans[name].turns:
                time.sleep(pause)
                measured[name].append(_burst(runnables[name], plans[name]))
    return {name: tuple(times) for name, times in measured.items()}


def time_calmly(
    runnables: Mapping[str, Runnable],
    rounds: int,
    pause: float = 0.0,
    budgets: Mapping[str, float] | None = None,
) -> dict[str, tuple[float, ...]]:
    """`time_in_turns`, up to three times, until the machine was calm; the calmest of them.

    Unrest is asked of all runnables together, so choosing by it favours none of them.
    """
    tries = []
    for _ in range(_TRIES):
        tries.append(time_in_turns(runnables, rounds, pause, budgets))
        if unrest(tries[-1]) <= _CALM:
            break
    return min(tries, key=unrest)


def unrest(measured: Mapping[str, Sequence[float]]) -> float:
    """How far medians are above minima, as a share of them: that of the middle one of all runnables."""
    return statistics.median(statistics.median(times) / min(times) - 1 for times in measured.values())


def _estimate(run: Runnable) -> float:
    """The first call may still allocate; it only counts where another would take long."""
    first = _seconds(run)
    return first if first > _ESTIMATE_SECONDS else min(first, _seconds(run))


def _burst(run: Runnable, plan: Turns) -> float:
    for _ in range(plan.warm):
        run()
    return statistics.median(_seconds(run) for _ in range(plan.timed))


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def _seconds(run: Runnable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
