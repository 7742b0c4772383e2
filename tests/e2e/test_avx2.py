"""A build for AVX2 is right on every exported model, also on machines that have wider vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.machines import AVX2, executes

from .agreement import TOLERANCE, agreement

MODELS = Path(__file__).parent.parent / "models"
CATALOGUE: list[dict[str, Any]] = json.loads((MODELS / "catalogue.json").read_text())["files"]
FEW = ("activations", "compconv_chain", "group_norm", "one_hot_csc", "shufflenet_v2")
"""Together: every template, tails of channels, an epilogue of every kind, folded shifts and shuffles."""

pytestmark = pytest.mark.skipif(not executes(AVX2), reason="no AVX2 here")


def _agrees(entry: dict[str, Any], folder: Path) -> None:
    shapes = {name: tuple(shape) for name, shape in entry["input_shapes"].items()}
    result = agreement(MODELS / entry["file"], folder, shapes, target=AVX2)
    assert result.error <= TOLERANCE
    assert "avx2" in result.manifest.cpu_features
    assert not any(feature.startswith("avx512") for feature in result.manifest.cpu_features)


@pytest.mark.parametrize("model", FEW)
def test_a_few_agree_with_onnxruntime(model: str, tmp_path: Path) -> None:
    _agrees(next(entry for entry in CATALOGUE if entry["file"] == f"{model}.dynamo.onnx"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry["file"])
def test_all_agree_with_onnxruntime(entry: dict[str, Any], tmp_path: Path) -> None:
    _agrees(entry, tmp_path)
