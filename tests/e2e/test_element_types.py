"""Movement of tensors that are not float32: no index map, but right."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

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
