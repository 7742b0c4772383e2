"""Whole networks through the staged program: tiles change no bit, and onnxruntime computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from frontends import import_model
from shiftc import zoo
from shiftc.options import PassOptions
from shiftc.staged_file import read_staged, write_staged
from shiftc.staging import stage_model
from tvm_passes.staged.execute import execute

RESIDUAL = {"resnet50": 16, "shiftresnet20": 9, "shiftresnet110": 54}
TOLERANCE = 1e-5
"""Largest |difference| over largest |reference|."""


@pytest.mark.parametrize(
    "name",
    [
        "shiftresnet20",
        pytest.param("shiftresnet110", marks=pytest.mark.slow),
        pytest.param("resnet50", marks=pytest.mark.slow),
    ],
)
def test_every_residual_is_a_pipeline_and_the_output_is_the_networks(name: str, tmp_path: Path) -> None:
    onnx.save(zoo.build(name), tmp_path / "model.onnx")
    imported = import_model(tmp_path / "model.onnx")
    write_staged(tmp_path / "tiled.json", stage_model(imported, name, PassOptions()))
    tiled, whole = read_staged(tmp_path / "tiled.json"), stage_model(imported, name, PassOptions(h_tiles=1))
    assert len(tiled.program.residual) == RESIDUAL[name]
    overlapped = [stage for stage in tiled.program.stages if len(stage.steps) == 2]
    assert len(overlapped) == 3 * RESIDUAL[name]
    inputs = {
        spec.name: np.random.default_rng(0).standard_normal(spec.shape).astype(spec.dtype)
        for spec in imported.signature.inputs
    }
    outputs = execute(tiled.program, tiled.weights, inputs)
    for output, untiled in execute(whole.program, whole.weights, inputs).items():
        assert outputs[output].tobytes() == untiled.tobytes()
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for port, expected in zip(session.get_outputs(), session.run(None, inputs), strict=True):
        assert np.abs(outputs[port.name] - expected).max() <= TOLERANCE * np.abs(expected).max()
