"""What tuning records gain: measured on small networks, and the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import variants
from benchmarks.records import VARIANTS, measure, table


def test_a_network(tmp_path: Path) -> None:
    found = measure(variants.compile_variants("shiftresnet20", 1, tmp_path, VARIANTS), rounds=1)
    assert found["gain"] == pytest.approx(found["defaults_ms"] / found["records_ms"], rel=1e-2)
    assert 0 <= found["recorded"] < found["kernels"]


def test_the_table() -> None:
    measurement = {
        "batch": 1,
        "records_ms": 1.0,
        "gain": 1.5,
        "gain_of_minima": 1.25,
        "recorded": 2,
        "kernels": 9,
    }
    small = {"network": "a", "defaults_ms": 1.5, **measurement}
    text = table("T", [small, {**small, "network": "b", "defaults_ms": 3.0}])
    assert text.startswith("# T\n")
    assert text.splitlines()[-2:] == [
        "| b | 1 | 3.000 | 1.000 | 1.50x | 1.25x | 2 | 9 |",
        "| a | 1 | 1.500 | 1.000 | 1.50x | 1.25x | 2 | 9 |",
    ]
