"""Compiling says nothing that the model's author cannot use: what TVM warns of is no word of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

MODEL = """<ir_version: 8, opset_import: ["": 18]>
    g (double[1,2,6,6] x, double[1,24,1] s, double[1,8,4] c)
    => (double[1,2,6,6] unpooled, double[1,5,5,2] spectrum, double[1,2,3,3] image, double[1,2,9,9] larger)
    <int64 step = {4}, int64 size = {8}, int64[2] plane = {3, 3}, int64[2] block = {2, 2},
     float[4] scales = {1.0, 1.0, 1.5, 1.5}> {
        pooled, index = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        unpooled = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(pooled, index)
        spectrum = STFT<onesided = 1>(s, step, , size)
        image = Col2Im(c, plane, block)
        larger = Resize<mode = "nearest">(x, , scales)
    }"""


def test_gathers_by_constants_warn_of_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In float64, of which no pass folds any."""
    model = onnx.parser.parse_model(MODEL)
    onnx.save(model, tmp_path / "model.onnx")
    capfd.readouterr()
    compile_model(CompileOptions(ModelOptions(tmp_path / "model.onnx"), tmp_path / "artifact"))
    assert capfd.readouterr().err == ""
    random = np.random.default_rng(0)
    inputs = {
        "x": random.standard_normal((1, 2, 6, 6)),
        "s": random.standard_normal((1, 24, 1)),
        "c": random.standard_normal((1, 8, 4)),
    }
    found = shiftc.load(tmp_path / "artifact").run(inputs)
    for name, expected in zip(found, ReferenceEvaluator(model).run(None, inputs), strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-9, err_msg=name)
