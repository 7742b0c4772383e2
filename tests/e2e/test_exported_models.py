"""Every model the real exporters wrote: compiles, agrees with onnxruntime, folds what it should."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import frontends

from .agreement import TOLERANCE, agreement

MODELS = Path(__file__).parent.parent / "models"
CATALOGUE: list[dict[str, Any]] = json.loads((MODELS / "catalogue.json").read_text())["files"]

REFUSALS = {
    "normalization": "a group norm reads whole vectors, and the map moves channels apart",
    "padded-window": "the convolution pads what it reads, and padding is not the map's border",
}
"""Why a shift stays, by the catalogue's keyword. Behind the other keywords no moving map is left."""


def _moves(offsets: str) -> bool:
    """Some channel is moved: "(0,1) x 4" and "(0,0)|(0,-6) x 2" are, "(0,0) x 8" and "zero x 2" are not."""
    moves = re.findall(r"\(([-\d,]+)\)", offsets)
    return "different offsets" in offsets or any(int(step) for move in moves for step in move.split(","))


def _shapes(entry: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in entry["input_shapes"].items()}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry["file"])
def test_agrees_with_onnxruntime(entry: dict[str, Any], tmp_path: Path) -> None:
    path, shapes = MODELS / entry["file"], _shapes(entry)
    result = agreement(path, tmp_path, shapes)
    assert result.error <= TOLERANCE
    maps = result.manifest.index_maps
    assert all(m["folded"] != bool(m["reason"]) for m in maps)
    moving = [m for m in maps if _moves(m["offsets"])]
    refused = {m["reason"] for m in moving if not m["folded"]}
    expected = entry["shifts"]["expected_folded"]
    assert refused == ({REFUSALS[expected]} if expected in REFUSALS else set())
    assert expected is not True or len(moving) >= entry["shifts"]["count"]
    model = frontends.load_model(path, frontends.ImportOptions(input_shapes=shapes))
    assert {name for m in maps for name in m["nodes"]} <= {node.name for node in model.graph.node}
