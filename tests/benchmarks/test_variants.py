"""A network compiled in several ways: what is one program is measured once."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.variants import Variant, compile_variants, distinct, first_alike, time_variants
from shiftc.options import PassOptions


def test_programs_that_are_the_same_are_measured_once(tmp_path: Path) -> None:
    free = os.sched_getaffinity(0)
    off = Variant(PassOptions(chain=1))
    artifacts = compile_variants(
        "shiftresnet20", 1, tmp_path, {"off": off, "again": off, "chains": Variant(PassOptions(chain=8))}
    )
    assert first_alike(artifacts) == {"off": "off", "again": "off", "chains": "chains"}
    assert list(distinct(artifacts)) == ["off", "chains"]
    turns = time_variants(artifacts, rounds=3).seconds
    assert list(turns) == ["off", "again", "chains"]
    assert turns["again"] is turns["off"]
    assert turns["chains"] != turns["off"]
    assert os.sched_getaffinity(0) == free  # whoever measures is bound only meanwhile
