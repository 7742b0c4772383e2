"""Movement of tensors that are not float32: no index map, but right."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions
from shiftc.tensors import made_up

from .agreement import agreement

SHAPE = [1, 4, 6, 5]


def _ints(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


MOVEMENTS = {
    "flip": (
        [_ints("s", -1), _ints("e", -100), _ints("a", 3), _ints("k", -1)],
        helper.make_node("Slice", ["x", "s", "e", "a", "k"], ["y"]),
        SHAPE,
    ),
    "channels": ([_ints("i", 3, 1, 2, 0)], helper.make_node("Gather", ["x", "i"], ["y"], axis=1), SHAPE),
    "transpose": ([], helper.make_node("Transpose", ["x"], ["y"], perm=[0, 1, 3, 2]), [1, 4, 5, 6]),
    "identity": ([], helper.make_node("Identity", ["x"], ["y"]), SHAPE),
}


@pytest.mark.parametrize("movement", MOVEMENTS)
@pytest.mark.parametrize("kind", ["INT64", "INT32", "UINT8", "FLOAT16", "FLOAT"])
def test_moves_any_type(kind: str, movement: str, tmp_path: Path) -> None:
    constants, node, shape = MOVEMENTS[movement]
    element = TensorProto.DataType.Value(kind)
    x = helper.make_tensor_value_info("x", element, SHAPE)
    y = helper.make_tensor_value_info("y", element, shape)
    model = helper.make_model(
        helper.make_graph([node], "movement", [x], [y], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "model.onnx")
    assert agreement(tmp_path / "model.onnx", tmp_path).error == 0


def test_bfloat16_goes_in_and_comes_out(tmp_path: Path) -> None:
    """numpy alone has no such type."""
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17]>
        g (bfloat16[3,5] x) => (bfloat16[3,5] y, float[3,5] z) { y = Neg(x)  z = Cast<to=1>(y) }"""),
        path,
    )
    compile_model(CompileOptions(ModelOptions(path), tmp_path / "artifact"))
    session = shiftc.load(tmp_path / "artifact")
    (spec,) = session.signature.inputs
    x = np.linspace(-3, 3, 15, dtype=np.float32).reshape(3, 5).astype(ml_dtypes.bfloat16)
    outputs = session.run({spec.name: x})
    assert outputs["y"].dtype == x.dtype
    np.testing.assert_array_equal(outputs["y"], -x)
    np.testing.assert_array_equal(outputs["z"], -x.astype(np.float32))
    (made,) = made_up(session.signature.inputs, "random").values()
    assert made.dtype == x.dtype and made.astype(np.float32).min() >= 0
