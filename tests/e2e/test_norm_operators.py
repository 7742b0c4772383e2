"""Normalization operators with all their outputs, many in one model, beside ONNX's reference evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx.reference import ReferenceEvaluator

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

MODEL = """<ir_version: 11, opset_import: ["" : 23]>
g (float[2,3,4,5] x, float[5] row, float[3,4,5] cube, float16[2,3,5] half, float16[5] half_row,
   float[3,4] flat) =>
  (float[2,3,4,5] y0, float[2,3,4,1] mean0, float[2,3,4,1] inverse0,
   float[2,3,4,5] y1, float[2,1,1,1] mean1, float[2,1,1,1] inverse1,
   float[2,3,4,5] y2, float[2,3,4,5] y3, float16[2,3,5] y4, float16[2,3,5] y5,
   float[3,4] l1, float[3,4] l2, float[3,4] l3)
{
    y0, mean0, inverse0 = LayerNormalization<axis=-1, epsilon=0.001>(x, row, row)
    y1, mean1, inverse1 = LayerNormalization<axis=1>(x, cube)
    y2 = RMSNormalization<axis=1, epsilon=0.01>(x, cube)
    y3 = RMSNormalization(x, row)
    y4 = RMSNormalization(half, half_row)
    y5 = LayerNormalization(half, half_row, half_row)
    l1 = LpNormalization<p=1, axis=0>(flat)
    l2 = LpNormalization<axis=1>(flat)
    l3 = LpNormalization(flat)
}"""


def test_all_outputs(tmp_path: Path) -> None:
    """Statistics, float16 with statistics in float32, norms of rows that are zero."""
    model = onnx.parser.parse_model(MODEL)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    compile_model(CompileOptions(ModelOptions(path), tmp_path / "artifact"))
    session = shiftc.load(tmp_path / "artifact")
    random = np.random.default_rng(5)
    inputs = {
        spec.name: (3 + 2 * random.standard_normal(spec.shape)).astype(spec.dtype)
        for spec in session.signature.inputs
    }
    inputs["flat"][1] = 0
    outputs = session.run(inputs)
    expected = dict(zip(outputs, ReferenceEvaluator(model).run(None, inputs), strict=True))
    norm = np.abs(inputs["flat"]).sum(0, keepdims=True)  # the evaluator leaves out the absolute value
    expected["l1"] = inputs["flat"] / norm
    for name, reference in expected.items():
        output = outputs[name]
        assert output.dtype == reference.dtype and output.shape == reference.shape
        tolerance = 1e-2 if output.dtype == np.float16 else 1e-5
        np.testing.assert_allclose(output, reference, rtol=tolerance, atol=tolerance, err_msg=name)
