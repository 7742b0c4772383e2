"""The search as a whole: real measurements where isolation matters, made-up times where judgement does."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import pytest

import schedules
from schedules.template import Decisions, ScheduleError
from schedules.tuning import tune as tuning
from schedules.tuning.measure import Comparison, Measurer
from schedules.tuning.process import CallError, IsolatedProcess
from schedules.tuning.space import Space
from schedules.tuning.task import Task, merge
from schedules.tuning.tune import Budget, Outcome, tune
from schedules.workload import IndexedConv
from tests.tuning.tasks import LANES, POINTWISE, TARGET, task_of

LARGER = IndexedConv(12, 3, LANES, 98)
SECONDS = {POINTWISE: 1e-6, LARGER: 2e-6}

Gain = Callable[[Decisions], float]


@pytest.fixture(scope="module")
def measurer() -> Iterator[Measurer]:
    with IsolatedProcess() as process:
        yield Measurer(TARGET, process, seconds=60)


def test_candidates_are_timed_beside_the_default_and_checked(measurer: Measurer) -> None:
    task, default = task_of(POINTWISE), Space.of(POINTWISE, TARGET, 1).default
    comparison = measurer.compare(task, default, {**default, "unroll": 1}, turns=3, check=True)
    assert len(comparison.candidate) == len(comparison.default) == 3
    assert comparison.seconds > 0 and comparison.gain > 0


def test_refused_decisions_are_told_from_faults(measurer: Measurer) -> None:
    task, default = task_of(POINTWISE), Space.of(POINTWISE, TARGET, 1).default
    with pytest.raises(CallError, match="registers") as caught:
        measurer.compare(task, default, {**default, "pixel_tile": 50, "block_tile": 3}, turns=3)
    assert caught.value.kind == ScheduleError.__name__


def test_wild_addresses_crash_the_process_alone(measurer: Measurer) -> None:
    task, default = task_of(POINTWISE), Space.of(POINTWISE, TARGET, 1).default
    wild = {**task.constants, "ct": np.full(12, 2**31 - 1, np.int32), "pt": np.full(50, 2**31 - 1, np.int32)}
    with pytest.raises(CallError, match="SIGSEGV"):
        measurer.compare(attrs.evolve(task, constants=wild), default, default, turns=3)


def test_kernels_are_shared_by_the_threads_of_the_program(measurer: Measurer) -> None:
    large = IndexedConv(64, 4, LANES, 400)
    task = attrs.evolve(task_of(large), threads=2)
    default = Space.of(large, TARGET, 2).default
    assert schedules.build(large, TARGET, 2).tasks == 2
    comparison = measurer.compare(task, default, {**default, "threads": 1}, turns=3, check=True)
    assert comparison.gain > 0


class _Unreliable(Measurer):
    """Measures for real, but one candidate crashes and one hangs."""

    def compare(
        self, task: Task, default: Decisions, candidate: Decisions, turns: int, check: bool = False
    ) -> Comparison:
        if candidate["unroll"] == 2:
            self._process.call(signal.raise_signal, signal.SIGSEGV, seconds=30)
        if candidate["unroll"] == 3:
            self._process.call(time.sleep, 600, seconds=0.2)
        return super().compare(task, default, candidate, turns, check)


def test_crashes_and_timeouts_cost_their_candidates_only(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space.of(POINTWISE, TARGET, 1)
    fixed = {name: (value,) for name, value in space.default.items()}
    assert space.default["unroll"] > 3
    few = attrs.evolve(space, candidates={**fixed, "unroll": (1, 2, 3, space.default["unroll"])})
    monkeypatch.setattr(tuning, "Measurer", _Unreliable)
    monkeypatch.setattr(tuning.Space, "of", lambda *_: few)
    (outcome,) = tune([[task_of(POINTWISE)]], TARGET, Budget(trials=10), _ignore, {})
    assert outcome.trials == 1
    crash, hang = sorted(outcome.faults, key=lambda fault: "SIGSEGV" not in fault)
    assert "unroll 2" in crash
    assert "unroll 3" in hang and "within 0.2 seconds" in hang
    assert outcome.failure is None


def _ignore(*_: object) -> None:
    pass


def _with_gains(monkeypatch: pytest.MonkeyPatch, gain: Gain, confirmed: Gain | None = None) -> list[Any]:
    """Measurements are made up: `gain` while searching, `confirmed` in the fresh process. Returns them."""
    measured: list[Any] = []

    class MadeUp:
        def __init__(self, *_: object) -> None:
            self.fresh_process = False

        def compare(
            self, task: Task, default: Decisions, candidate: Decisions, turns: int, check: bool = False
        ) -> Comparison:
            measured.append((task.workload, dict(candidate), check))
            seconds = SECONDS[task.workload]
            factor = (confirmed or gain)(candidate) if check else gain(candidate)
            return Comparison((seconds / factor,) * 3, (seconds,) * 3)

        def fresh(self) -> None:
            pass

    monkeypatch.setattr(tuning, "Measurer", MadeUp)
    return measured


def _tune(*tasks: Task, trials: int = 40, known: Any = None) -> list[Outcome]:
    return tune([tasks], TARGET, Budget(trials=trials), _ignore, known or {})


def test_the_best_is_found_and_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = _with_gains(monkeypatch, lambda d: 1.5 if d["unroll"] == 1 else 1.0)
    (outcome,) = _tune(task_of(POINTWISE))
    assert outcome.best is not None and outcome.best["unroll"] == 1
    assert outcome.gain == pytest.approx(1.5)
    assert outcome.seconds == pytest.approx(SECONDS[POINTWISE] / 1.5)
    default = Space.of(POINTWISE, TARGET, 1).default
    assert measured[0][1] == default
    assert measured[-1][2]


def test_gains_within_the_noise_leave_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda d: 1.015 if d["unroll"] == 1 else 1.0)
    assert _tune(task_of(POINTWISE))[0].best is None


def test_gains_that_are_not_confirmed_leave_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda d: 1.5 if d["unroll"] == 1 else 1.0, confirmed=lambda _: 1.0)
    assert _tune(task_of(POINTWISE))[0].best is None


def test_gains_that_come_and_go_leave_the_default() -> None:
    comparison = Comparison((1.0, 1.0, 1.0, 1.0, 1.0), (0.8, 0.9, 1.1, 1.2, 1.3))
    assert comparison.gain > 1.05 and comparison.sure_gain < 1


def test_trials_go_where_the_time_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda _: 1.0)
    outcomes = _tune(task_of(POINTWISE), task_of(LARGER, calls=2), trials=50)
    assert [outcome.workload for outcome in outcomes] == [LARGER, POINTWISE]
    assert [outcome.trials for outcome in outcomes] == [40, 10]


def test_small_networks_count_as_much_as_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda _: 1.0)
    networks = [[task_of(POINTWISE)], [task_of(LARGER, calls=1000)]]
    outcomes = tune(networks, TARGET, Budget(trials=40), _ignore, {})
    assert [outcome.trials for outcome in outcomes] == [20, 20]


def test_workloads_that_take_no_time_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda _: 1.0)
    outcomes = _tune(task_of(POINTWISE), task_of(LARGER, calls=1000), trials=20_000)
    assert [outcome.trials for outcome in outcomes] == [tuning._PATIENCE, 0]


def test_a_search_without_success_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda _: 1.0)
    assert _tune(task_of(POINTWISE), trials=10_000)[0].trials == tuning._PATIENCE


def test_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_gains(monkeypatch, lambda _: 1.0)
    (outcome,) = tune([[task_of(POINTWISE)]], TARGET, Budget(minutes=1e-9), _ignore, {})
    assert outcome.trials == 0 and outcome.failure is None


def test_earlier_records_are_measured_first(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = _with_gains(monkeypatch, lambda _: 1.0)
    known = {**Space.of(POINTWISE, TARGET, 1).default, "unroll": 1}
    _tune(task_of(POINTWISE), known={(POINTWISE, 1): known})
    assert measured[1][1] == known


def test_what_cannot_be_measured_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def gain(_: Decisions) -> float:
        raise CallError("crash", "the process died of SIGILL")

    _with_gains(monkeypatch, gain)
    (outcome,) = _tune(task_of(POINTWISE))
    assert outcome.failure == "the process died of SIGILL"


def test_equal_workloads_are_one_task() -> None:
    merged = merge([task_of(POINTWISE), task_of(LARGER), task_of(POINTWISE, calls=3)])
    assert [(task.workload, task.calls) for task in merged] == [(POINTWISE, 4), (LARGER, 1)]
