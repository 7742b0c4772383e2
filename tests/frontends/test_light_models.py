"""The nine networks shipped in the onnx package: opset 9, weights as ConstantOfShape."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from tvm import relax

from frontends import import_model

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

LIGHT = {
    "bvlc_alexnet": 5,
    "densenet121": 121,
    "inception_v1": 57,
    "inception_v2": 69,
    "resnet50": 53,
    "shufflenet": 49,
    "squeezenet": 26,
    "vgg19": 16,
    "zfnet512": 5,
}
"""Convolutions of each."""


@pytest.mark.parametrize("name", LIGHT)
def test_imports(name):
    imported = import_model(FOLDER / f"light_{name}.onnx")
    assert [spec.shape for spec in imported.signature.inputs] == [(1, 3, 224, 224)]
    (output,) = imported.signature.outputs
    assert output.shape[:2] == (1, 1000)
    operators = [
        binding.value.op.name
        for block in imported.module["main"].body.blocks
        for binding in block.bindings
        if isinstance(binding.value, relax.Call)
    ]
    # The simplifier merges convolutions that are one and the same: these weights are all alike.
    assert 0 < operators.count("relax.nn.conv2d") <= LIGHT[name]
    assert "relax.call_tir" not in operators
    assert len(imported.module["main"].params) == 1
