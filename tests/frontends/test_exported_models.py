"""Files as PyTorch's exporters write them: each imports, and what peers get computes the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from frontends import ImportOptions, import_model

FOLDER = Path(__file__).parents[1] / "models"
ENTRIES = {entry["file"]: entry for entry in json.loads((FOLDER / "catalogue.json").read_text())["files"]}


def import_entry(entry):
    shapes = {name: tuple(shape) for name, shape in entry["input_shapes"].items()}
    return import_model(FOLDER / entry["file"], ImportOptions(input_shapes=shapes))


@pytest.mark.parametrize("file", ENTRIES)
def test_imports(file, run_onnxruntime, random_inputs):
    entry = ENTRIES[file]
    imported = import_entry(entry)
    assert [variable.name_hint for variable in imported.module.get_global_vars()] == ["main"]
    same = FOLDER / (entry["same_as"] if entry["custom_op"] else file)
    inputs = random_inputs(imported)
    plain = run_onnxruntime(imported.onnx_model, inputs)
    original = run_onnxruntime(onnx.load(same), inputs)
    for ours, theirs in zip(plain, original, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
