"""The benchmark of compilations: what it measures, and its table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.compile_time import _run, measure, table


def test_a_network() -> None:
    found = measure("roll-like", 1)
    assert min(found["warm_s"], found["cold_s"]) > 0
    assert 0 < found["kernels"] < found["steps"]
    assert found["peak_bytes"] > 100e6  # TVM alone


def test_a_compilation_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        _run([sys.executable, "-m", "shiftc", "compile", str(tmp_path / "missing.onnx")], tmp_path)


def test_the_table() -> None:
    counts = {"threads": 1, "kernels": 12, "steps": 30, "warm_s": 1.26, "peak_bytes": 456_000_000}
    text = table("T", [{"network": "a", "cold_s": 4.0, **counts}, {"network": "b", "cold_s": 9.04, **counts}])
    assert text.startswith("# T\n")
    assert text.splitlines()[-2:] == [
        "| b | 1 | 12 | 30 | 9.0 | 1.3 | 456 |",
        "| a | 1 | 12 | 30 | 4.0 | 1.3 | 456 |",
    ]
