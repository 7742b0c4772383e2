"""Weights that a model holds quantized are floats once it is imported, at every opset and of every type."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from frontends import import_model
from frontends.load import load_model

SHAPE = (4, 6)


def _model(
    weight: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, opset: int, **attributes: int
) -> onnx.ModelProto:
    """x · dequantized weight."""
    arrays = {"w": weight, "s": scale} | ({} if zero is None else {"z": zero})
    nodes = [
        helper.make_node("DequantizeLinear", list(arrays), ["f"], "dequantize", **attributes),
        helper.make_node("MatMul", ["x", "f"], ["y"], "product"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, SHAPE[0]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, SHAPE[1]))],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def _weights(dtype: object) -> np.ndarray:
    low, high = (-7, 8) if "int" in np.dtype(dtype).name and "uint" not in np.dtype(dtype).name else (0, 8)
    return np.random.default_rng(5).integers(low, high, SHAPE).astype(dtype)


def _dequantized(path: Path, model: onnx.ModelProto) -> np.ndarray:
    """The only weight that is left."""
    path.write_bytes(model.SerializeToString())
    loaded = load_model(path)
    assert [node.op_type for node in loaded.graph.node] == ["MatMul"]
    (tensor,) = loaded.graph.initializer
    import_model(path)
    return numpy_helper.to_array(tensor)


@pytest.mark.parametrize("opset", [10, 13, 19, 21, 23])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_of_the_whole_tensor(tmp_path: Path, opset: int, dtype: str) -> None:
    weight, scale = _weights(dtype), np.float32(0.3)
    zero = None if dtype == "int32" else np.array(3, dtype)
    model = _model(weight, np.array(scale), zero, opset)
    expected = (weight.astype(np.float32) - (0 if zero is None else 3)) * scale
    np.testing.assert_array_equal(_dequantized(tmp_path / "m.onnx", model), expected)


@pytest.mark.parametrize("opset", [13, 19, 21, 23])
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_of_slices_along_an_axis(tmp_path: Path, opset: int, axis: int) -> None:
    weight, size = _weights("int8"), SHAPE[axis]
    scale, zero = np.linspace(0.1, 0.7, size).astype(np.float32), np.arange(size).astype(np.int8)
    spread = (-1, 1) if axis % 2 == 0 else (1, -1)
    expected = (weight.astype(np.float32) - zero.reshape(spread)) * scale.reshape(spread)
    model = _model(weight, scale, zero, opset, axis=axis)
    np.testing.assert_array_equal(_dequantized(tmp_path / "m.onnx", model), expected)


@pytest.mark.parametrize(
    "dtype",
    ["int16", "uint16", ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2],
)
@pytest.mark.parametrize("opset", [21, 23])
def test_types_of_later_opsets_and_blocks(tmp_path: Path, dtype: object, opset: int) -> None:
    weight, scale = _weights(dtype), np.linspace(0.1, 0.9, 12).reshape(2, 6).astype(np.float32)
    expected = weight.astype(np.float32) * np.repeat(scale, 2, axis=0)
    model = _model(weight, scale, None, opset, axis=0, block_size=2)
    np.testing.assert_array_equal(_dequantized(tmp_path / "m.onnx", model), expected)
