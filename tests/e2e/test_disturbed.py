"""Right answers and no hang while other processes take the cores and threads are held up anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from .disturbed import disturbed_runs
from .test_threads import MODELS

WHOLE_MINUTES = 5.0


def _held(tmp_path: Path, seconds: float) -> None:
    assert disturbed_runs(MODELS / "conv3x3.dynamo.onnx", tmp_path, seconds, seed=1) > 4


def test_for_some_seconds(tmp_path: Path) -> None:
    _held(tmp_path, 3.0)


@pytest.mark.slow
def test_for_minutes(tmp_path: Path) -> None:
    _held(tmp_path, 60 * WHOLE_MINUTES)
