"""Which workloads are searched, and what is said of them."""

from __future__ import annotations

from benchmarks.decisions import measurement_of, select, table
from schedules.tuning.space import Space
from schedules.tuning.tune import Outcome, Start
from schedules.workload import IndexedConv
from tests.tuning.tasks import TARGET, task_of


def _start(pixels: int) -> Start:
    workload = IndexedConv(8, 1, 16, pixels)
    return Start(task_of(workload), Space.of(workload, TARGET, 1), 1e-6, 0.5)


def test_networks_take_turns_and_workloads_come_once() -> None:
    networks = {"a": [_start(1), _start(2), _start(3)], "b": [_start(1), _start(4)]}
    chosen = [(network, task.workload.pixels) for network, task in select(networks, 10)]
    assert chosen == [("a", 1), ("a", 2), ("b", 4), ("a", 3)]
    assert len(list(select(networks, 2))) == 2


def test_the_table_says_the_median_and_the_worst() -> None:
    start = _start(9)
    measurements = [
        measurement_of(
            "a",
            start.task,
            Outcome(
                start.task.workload,
                1,
                start.space.default,
                2e-6,
                9,
                best={**start.space.default, "unroll": 1},
                gain=gain,
            ),
        )
        for gain in (1.0, 1.1, 1.25)
    ]
    text = table("Decisions", measurements)
    assert "1.100x as fast" in text and "1.250x at worst" in text
    worst = next(line for line in text.splitlines() if line.startswith("| a"))
    assert "| 2.00 | 1.60 | 1.250x |" in worst
    assert f"unroll {start.space.default['unroll']} → 1" in worst
