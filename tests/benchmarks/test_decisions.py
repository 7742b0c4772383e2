"""Which workloads are searched, and what is said of them."""

from __future__ import annotations

import attrs

from benchmarks.decisions import longest_first, measurement_of, select, table
from schedules.tuning.space import Space
from schedules.tuning.task import Task
from schedules.tuning.tune import Outcome
from schedules.workload import IndexedConv
from tests.tuning.tasks import TARGET, task_of


def _task(pixels: int, calls: int = 1) -> Task:
    return attrs.evolve(task_of(IndexedConv(8, 1, 16, pixels)), calls=calls)


def test_networks_take_turns_and_workloads_come_once() -> None:
    networks = {"a": [_task(1), _task(2), _task(3)], "b": [_task(1), _task(4)]}
    chosen = [(network, task.workload.pixels) for network, task in select(networks, 10)]
    assert chosen == [("a", 1), ("a", 2), ("b", 4), ("a", 3)]
    assert len(list(select(networks, 2))) == 2


def test_what_a_network_calls_often_comes_before_what_takes_longer_once() -> None:
    ordered = longest_first({"a": [_task(10), _task(16)], "b": [_task(16), _task(10, calls=1000)]}, TARGET)
    assert [task.workload.pixels for task in ordered["b"]] == [10, 16]
    assert {task.calls for task in ordered["a"]} == {1}


def test_the_table_says_the_median_and_the_worst() -> None:
    task = task_of(IndexedConv(8, 1, 16, 9))
    default = Space.of(task.workload, TARGET, 1).default
    measurements = [
        measurement_of(
            "a",
            task,
            Outcome(
                task.workload,
                1,
                default,
                2e-6,
                9,
                best={**default, "unroll": 1},
                gain=gain,
            ),
        )
        for gain in (1.0, 1.1, 1.25)
    ]
    text = table("Decisions", measurements)
    assert "1.100x as fast" in text and "1.250x at worst" in text
    worst = next(line for line in text.splitlines() if line.startswith("| a"))
    assert "| 2.00 | 1.60 | 1.250x |" in worst
    assert f"unroll {default['unroll']} → 1" in worst
