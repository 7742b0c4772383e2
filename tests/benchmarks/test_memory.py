"""The memory benchmark: what it measures, and its table."""

from __future__ import annotations

from benchmarks.memory import measure, table


def test_a_network() -> None:
    found = measure("shiftresnet20")
    assert 0 < found["arena_lower_bound_bytes"] <= found["arena_bytes"]
    # pages that the run touches for the first time: more than a page, less than the model's weights times ten
    assert 4096 < found["onnxruntime_live_bytes"] < 10_000_000
    assert 4096 < found["onnxruntime_held_bytes"] < 20_000_000


def test_the_table_compares() -> None:
    measurement = {
        "network": "a",
        "arena_bytes": 2_000_000,
        "arena_lower_bound_bytes": 1_500_000,
        "onnxruntime_held_bytes": 5_000_000,
        "onnxruntime_live_bytes": 3_000_000,
    }
    text = table("T", [measurement])
    assert text.startswith("# T\n")
    assert text.splitlines()[-1] == "| a | 2.00 | 1.50 | 5.00 | 2.50x | 3.00 | 1.50x |"
