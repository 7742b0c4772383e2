"""What chains gain: measured on a small network, and the table."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.tiling import PROGRAMS, measure, table
from benchmarks.variants import compile_variants
from schedules.machine import machine_of
from shiftc.target import parse_target


def test_a_network(tmp_path: Path) -> None:
    free = os.sched_getaffinity(0)
    artifacts = compile_variants("shiftresnet20", 1, tmp_path, PROGRAMS)
    assert list(artifacts) == list(PROGRAMS)
    found = measure(artifacts, rounds=1)
    assert found["auto_gain"] == pytest.approx(found["off_ms"] / found["auto_ms"], rel=1e-2)
    assert found["least_bytes"] <= found["auto_bytes"] <= found["off_bytes"]
    assert found["least_bytes"] < found["off_bytes"]
    assert found["least_memory"] == pytest.approx(found["least_bytes"] / found["off_bytes"], abs=1e-3)
    assert 0 <= found["least_reread"] <= found["off_reread"]
    if machine_of(parse_target("host")).l2_bytes >= 1 << 20:  # half a megabyte never leaves such a cache
        assert found["off_reread"] == 0
    assert os.sched_getaffinity(0) == free  # whoever measures is bound only meanwhile


def test_the_table() -> None:
    gains = {f"{program}_gain{of}": 1.25 for program in ("auto", "least") for of in ("", "_of_minima")}
    memory = {"auto_bytes": 4096, "auto_memory": 0.5, "least_bytes": 2048, "least_memory": 0.25}
    modelled = {"auto_modelled": 1.1, "least_modelled": 0.9}
    traffic = {"off_reread": 3072, "auto_reread": 1024, "least_reread": 0}
    small = {
        "network": "a",
        "batch": 1,
        "off_ms": 0.5,
        "off_bytes": 8192,
        **gains,
        **memory,
        **modelled,
        **traffic,
    }
    text = table("T", [small, {**small, "network": "b", "off_ms": 2.0}])
    assert text.startswith("# T\n")
    chains = "1.25x | 1.25x | 1.10x | 4 | 0.50 | 1 | 1.25x | 1.25x | 0.90x | 2 | 0.25 | 0"
    assert text.splitlines()[-2:] == [
        f"| b | 1 | 2.000 | 8 | 3 | {chains} |",
        f"| a | 1 | 0.500 | 8 | 3 | {chains} |",
    ]
