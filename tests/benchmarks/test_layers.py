"""The benchmark of single layers: what it measures, and its table."""

from __future__ import annotations

from benchmarks.layers import LAYERS, measure, table
from shiftc.bench.contestants import OURS, REFERENCE


def test_a_layer() -> None:
    found = measure(LAYERS["bilinear x2, 64, 28"](), rounds=1)
    assert found["runtimes"][OURS]["error"] < 1e-5
    last = table("T", [{"layer": "a", **found}]).splitlines()[-1]
    assert last.startswith("| a")
    assert last.count("|") == 7


def test_the_table_compares() -> None:
    runtimes = {
        OURS: {"median_ms": 0.5, "error": 1e-7, "failure": None},
        REFERENCE: {"median_ms": 2.0, "error": 0.0, "failure": None},
    }
    measurement = {"layer": "a", "runtimes": runtimes, "of_floor": 0.5, "disturbed": True}
    assert table("T", [measurement]).splitlines()[-1] == "| a~ | 0.500 | 2.000 | 0.25 | 50% | 1.0e-07 |"
    runtimes[REFERENCE] = {"failure": "no kernel"}
    assert table("T", [measurement]).splitlines()[-1] == "| a | 0.500 | no kernel |  |  |  |"
