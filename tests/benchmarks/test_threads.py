"""What threads gain: measured on a small network, and the table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.threads import compiled, main, measure, table


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_network(tmp_path: Path) -> None:
    free = os.sched_getaffinity(0)
    alone, together = (compiled("shiftresnet20", 1, threads, tmp_path) for threads in (1, 2))
    found = measure(alone, together, 2, rounds=1)
    assert found["used"] == 2
    assert found["alone_min_ms"] <= found["alone_ms"]
    assert found["gain"] == pytest.approx(found["alone_ms"] / found["together_ms"], rel=1e-2)
    assert found["meeting_ns"] > 0
    assert os.sched_getaffinity(0) == free  # whoever measures is bound only meanwhile


def test_what_is_compiled_is_kept(tmp_path: Path) -> None:
    first = compiled("shiftresnet20", 1, 1, tmp_path)
    written = (first / "manifest.json").stat().st_mtime_ns
    assert compiled("shiftresnet20", 1, 1, tmp_path) == first
    assert (first / "manifest.json").stat().st_mtime_ns == written


def test_what_is_only_compiled_must_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--compile-only"])
    assert "--artifacts" in capsys.readouterr().err


def test_the_table_says_where_one_thread_was_enough() -> None:
    measurement = {"batch": 1, "threads": 2, "gain_of_minima": 1.9, "meeting_ns": 31}
    small = {"network": "a", "used": 1, "alone_ms": 0.1, "together_ms": 0.1, "gain": 1.0, **measurement}
    large = {"network": "b", "used": 2, "alone_ms": 9.0, "together_ms": 5.0, "gain": 1.8, **measurement}
    text = table("T", [small, large])
    assert text.startswith("# T\n")
    assert text.splitlines()[-2:] == [
        "| b | 1 | 2 | 9.000 | 5.000 | 1.80x | 1.90x | 31 |",
        "| a | 1 | 2 → 1 | 0.100 | 0.100 | 1.00x | 1.90x | 31 |",
    ]
