"""Tensors without elements: nothing reads or writes them, and a sum over them is zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

MODEL = """<ir_version: 8, opset_import: ["": 17]>
g (float[2,4] x, float[N,4] none) => (float[2,4] y, float[N,4] sums, float[1,4] total, float[2,0] cut)
<int64[1] zero = {0}, int64[1] one = {1}>
{ y = Relu(x)  sums = Add(none, none)  total = ReduceSum<keepdims=1>(none, zero)
  cut = Slice(x, zero, zero, one) }"""


def test_they_go_in_and_come_out(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), path)
    model = ModelOptions(path, input_shapes={"none": (0, 4)})
    compile_model(CompileOptions(model, tmp_path / "artifact"))
    session = shiftc.load(tmp_path / "artifact")
    x = np.array([[-1, 2, -3, 4], [5, -6, 7, -8]], np.float32)
    for none in (np.zeros((0, 4), np.float32), np.zeros((0, 8), np.float32)[:, ::2]):
        outputs = session.run({"x": x, "none": none})
        np.testing.assert_array_equal(outputs["y"], np.maximum(x, 0))
        np.testing.assert_array_equal(outputs["total"], np.zeros((1, 4), np.float32))
        assert outputs["sums"].shape == (0, 4)
        assert outputs["cut"].shape == (2, 0)
