"""Every model the real exporters wrote: compiles, agrees with onnxruntime, folds what it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .agreement import TOLERANCE, agreement

MODELS = Path(__file__).parent.parent / "models"
CATALOGUE: list[dict[str, Any]] = json.loads((MODELS / "catalogue.json").read_text())["files"]


def _shapes(entry: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in entry["input_shapes"].items()}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry["file"])
def test_agrees_with_onnxruntime(entry: dict[str, Any], tmp_path: Path) -> None:
    result = agreement(MODELS / entry["file"], tmp_path, _shapes(entry))
    assert result.error <= TOLERANCE
    maps = result.manifest.index_maps
    if entry["shifts"]["expected_folded"] is True:
        assert [(m["nodes"], m["reason"]) for m in maps if not m["folded"]] == []
        moving = sum(any(digit in m["offsets"] for digit in "123456789") for m in maps)
        assert moving >= min(1, entry["shifts"]["count"])
    assert all(m["folded"] or m["reason"] for m in maps)
