"""The search: every default is measured, the budget shared out by time, what beats its default is kept.

A workload's share is the part of a network's time that its calls take, on average over the networks: a small
network counts as much as a large one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs
import tvm

from schedules.template import Decisions, ScheduleError
from schedules.tuning.measure import Comparison, Measurer
from schedules.tuning.process import CallError, IsolatedProcess
from schedules.tuning.search import Search
from schedules.tuning.space import Space
from schedules.tuning.task import Task, merge
from schedules.workload import Workload

TRIALS_PER_WORKLOAD = 32
"""Of a search that is given neither trials nor minutes."""

_FEWEST_TRIALS = 4
_NEGLIGIBLE = 1e-3
"""Part of one network's time below which a workload is not searched."""
_MARGIN = 0.02
"""By how much a record must beat the default."""
_TURNS, _FINAL_TURNS = 11, 41
_FINALISTS = 3
_PATIENCE = 64
"""Trials without a better candidate after which a workload is left."""


_Key = tuple[Workload, int]


@attrs.frozen
class Budget:
    """trials: candidates measured in all; minutes: of everything.  None: TRIALS_PER_WORKLOAD, no limit."""

    trials: int | None = None
    minutes: float | None = None
    candidate_seconds: float = 30.0


@attrs.frozen
class Outcome:
    """What became of one workload.

    trials:   candidates measured.  refused: combinations that the template does not follow.
    faults:   of every candidate that crashed, hung or was wrong, its decisions and what happened.
    best:     decisions that beat the default by more than the noise, or None.
    gain:     how many times as fast as the default they are.
    failure:  why not even the default could be measured, or None.
    """

    workload: Workload
    calls: int
    default: Decisions
    default_seconds: float = 0.0
    trials: int = 0
    refused: int = 0
    faults: tuple[str, ...] = ()
    best: Decisions | None = None
    seconds: float = 0.0
    gain: float = 1.0
    failure: str | None = None


@attrs.frozen(eq=False)
class Start:
    """A task, its space, and what its default takes; its share of the budget."""

    task: Task
    space: Space
    seconds: float
    share: float


def tune(
    networks: Sequence[Sequence[Task]],
    target: tvm.target.Target,
    budget: Budget,
    keep: Callable[[Space, Outcome, int, int], None],
    known: Mapping[_Key, Decisions],
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Searches the networks' tasks, the largest shares first; each outcome goes to `keep` at once.

    keep:  called with the space, the outcome, which of how many it is.
    known: decisions of earlier records, by workload and threads: measured first, kept where they still win.
    """
    ends = None if budget.minutes is None else time.monotonic() + 60 * budget.minutes
    outcomes: list[Outcome] = []
    with IsolatedProcess() as process:
        measurer = Measurer(target, process, budget.candidate_seconds)
        starts, failures = measured_defaults(networks, target, measurer, progress)
        total = len(starts) + len(failures)
        trials = budget.trials
        if trials is None and ends is None:
            trials = TRIALS_PER_WORKLOAD * len(starts)
        for space, outcome in failures:
            outcomes.append(outcome)
            keep(space, outcome, len(outcomes), total)
        left = 1.0
        for start in starts:
            progress(f"{len(outcomes) + 1} of {total} workloads")
            limit = None if trials is None else max(_FEWEST_TRIALS, round(trials * start.share))
            if start.share < _NEGLIGIBLE / len(networks):
                limit = 0
            now = time.monotonic()
            deadline = None if ends is None else now + max(0.0, ends - now) * start.share / left
            left = max(left - start.share, 1e-9)
            found = known.get(_key(start.task))
            outcomes.append(_search(start, measurer, limit, deadline, found, seed))
            keep(start.space, outcomes[-1], len(outcomes), total)
    return outcomes


def measured_defaults(
    networks: Sequence[Sequence[Task]],
    target: tvm.target.Target,
    measurer: Measurer,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[Start], list[tuple[Space, Outcome]]]:
    """The distinct tasks with the time of their defaults, the largest share first; and those without."""
    tasks = merge(task for network in networks for task in network)
    measured: list[tuple[Task, Space, float]] = []
    failures: list[tuple[Space, Outcome]] = []
    for number, task in enumerate(tasks, 1):
        progress(f"default {number} of {len(tasks)}")
        space = Space.of(task.workload, target, task.threads)
        try:
            seconds = measurer.compare(task, space.default, space.default, turns=5).seconds
        except CallError as error:
            outcome = Outcome(task.workload, task.calls, space.default, failure=str(error))
            failures.append((space, outcome))
            continue
        measured.append((task, space, seconds))
    shares = _shares(networks, {_key(task): seconds for task, _, seconds in measured})
    starts = [Start(task, space, seconds, shares[_key(task)]) for task, space, seconds in measured]
    return sorted(starts, key=lambda start: -start.share), failures


def _shares(networks: Sequence[Sequence[Task]], seconds: Mapping[_Key, float]) -> dict[_Key, float]:
    """The part of a network's time that each workload takes, on average; 1 in all."""
    shares = dict.fromkeys(seconds, 0.0)
    for network in networks:
        times = {_key(task): task.calls * seconds[_key(task)] for task in network if _key(task) in seconds}
        for key, time_of_network in times.items():
            shares[key] += time_of_network / sum(times.values()) / len(networks)
    return shares


def _key(task: Task) -> _Key:
    return task.workload, task.threads


def _search(
    start: Start,
    measurer: Measurer,
    limit: int | None,
    deadline: float | None,
    known: Decisions | None,
    seed: int,
) -> Outcome:
    """Searches one workload and confirms the best of it in a fresh process."""
    task, space = start.task, start.space
    search = Search(space, seed)
    search.report(space.default, 1.0)
    gains: list[tuple[float, Decisions]] = []
    faults: list[str] = []
    trials = refused = since_better = 0
    best = 1.0
    first = _within(space, known)
    while since_better < _PATIENCE:
        if (limit is not None and trials + len(faults) >= limit) or _past(deadline):
            break
        decisions, first = (first, None) if first is not None else (search.propose(), None)
        if decisions is None:
            break
        try:
            gain = measurer.compare(task, space.default, decisions, _TURNS).gain
        except CallError as error:
            if error.kind == ScheduleError.__name__:
                refused += 1
            else:
                faults.append(_fault(decisions, error))
            continue
        trials += 1
        search.report(decisions, 1 / gain)
        gains.append((gain, decisions))
        since_better = 0 if gain > best else since_better + 1
        best = max(best, gain)
    outcome = Outcome(task.workload, task.calls, space.default, start.seconds, trials, refused, tuple(faults))
    return _confirmed(outcome, task, gains, measurer)


def _confirmed(
    outcome: Outcome, task: Task, gains: list[tuple[float, Decisions]], measurer: Measurer
) -> Outcome:
    """The outcome with the best finalist, if one beats the default by the margin once more, elsewhere."""
    finalists = sorted(gains, key=lambda pair: -pair[0])[:_FINALISTS]
    finalists = [pair for pair in finalists if pair[0] >= 1 + _MARGIN]
    if not finalists:
        return outcome
    measurer.fresh()
    confirmed: list[tuple[Comparison, Decisions]] = []
    for _, decisions in finalists:
        try:
            comparison = measurer.compare(task, outcome.default, decisions, _FINAL_TURNS, check=True)
        except CallError as error:
            outcome = attrs.evolve(outcome, faults=(*outcome.faults, _fault(decisions, error)))
            continue
        if comparison.gain >= 1 + _MARGIN and comparison.sure_gain > 1:
            confirmed.append((comparison, decisions))
    if not confirmed:
        return outcome
    comparison, best = max(confirmed, key=lambda pair: pair[0].gain)
    return attrs.evolve(outcome, best=best, seconds=comparison.seconds, gain=comparison.gain)


def _fault(decisions: Decisions, error: CallError) -> str:
    return f"{', '.join(f'{name} {value}' for name, value in decisions.items())}: {error}"


def _past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def _within(space: Space, decisions: Decisions | None) -> Decisions | None:
    """Decisions of an earlier record, if they are still in the space."""
    if decisions is None or set(decisions) != set(space.candidates):
        return None
    return decisions if all(decisions[name] in values for name, values in space.candidates.items()) else None
