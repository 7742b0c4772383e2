"""Kernels that are one serial loop, in a program of two threads: one task makes each, and the other waits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

MODEL = """<ir_version: 9, opset_import: ["": 17]>
g (float[1,8,20,20] x, int64[3,2] at, float[3,20,20] u)
    => (float[1,4,20,20] y, int64[1,5,20,20] places, float[1,16,20,20] scattered, int64[1,16,10,10] chosen)
<int64[1] five = {5}, int64 last = {2}, float[16,8,3,3] w, float[4,5,1,1] v>
{   c = Conv<pads = [1, 1, 1, 1]>(x, w)
    values, places = TopK<axis = 1>(c, five)
    sums = CumSum(values, last)
    y = Conv(sums, v)
    scattered = ScatterND(c, at, u)
    pooled, chosen = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(c) }"""


@pytest.mark.usefixtures("threads_pay")
def test_serial_kernels_beside_shared_ones(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    model = parser.parse_model(MODEL)
    for value in model.graph.value_info:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        weight = random.standard_normal(shape).astype("float32")
        model.graph.initializer.append(numpy_helper.from_array(weight, value.name))
    onnx.save(model, tmp_path / "model.onnx")
    compile_model(CompileOptions(ModelOptions(tmp_path / "model.onnx", threads=2), tmp_path / "artifact"))
    session = shiftc.load(tmp_path / "artifact")
    reference = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for _ in range(5):
        inputs = {
            "x": random.standard_normal((1, 8, 20, 20)).astype("float32"),
            "at": np.array([[0, 1], [0, -1], [0, 1]]),
            "u": random.standard_normal((3, 20, 20)).astype("float32"),
        }
        found = session.run(inputs)
        for name, expected in zip(found, reference.run(list(found), inputs), strict=True):
            np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4)
