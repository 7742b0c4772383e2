"""Networks in float16 and bfloat16 against the same network in float32, and where roundings are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

from .agreement import relative_error

HALVES = {"float16": (TensorProto.FLOAT16, 1e-3), "bfloat16": (TensorProto.BFLOAT16, 8e-3)}
"""Largest |difference| over largest |reference|: one rounding of the result is half of it."""

SHAPE = (1, 48, 10, 9)


def _model(
    nodes: list[onnx.NodeProto], outputs: dict[str, int], weights: dict[str, Any], x: int, opset: int = 17
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("x", x, SHAPE)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _run(model: onnx.ModelProto, folder: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    onnx.save(model, folder / "model.onnx")
    compile_model(CompileOptions(ModelOptions(folder / "model.onnx"), folder / "artifact"))
    return shiftc.load(folder / "artifact").run({"x": x})


def _network(kind: int, half: int) -> onnx.ModelProto:
    """A classifier, a sum over many products, movement, and an input that is an output, all of one type.

    half: the type that weights are rounded to.
    """
    dtype, rounded = map(helper.tensor_dtype_to_np_dtype, (kind, half))
    rng = np.random.default_rng(2)

    def drawn(*shape: int) -> np.ndarray:
        scale = np.sqrt(np.prod(shape[1:]) or 1)
        return (rng.standard_normal(shape) / scale).astype(rounded).astype(dtype)

    weights = {
        "w": drawn(64, 48, 3, 3),
        "b": drawn(64),
        "low": np.array(0, dtype),
        "high": np.array(1.5, dtype),
        "fc": drawn(10, 64),
        "pair": np.array([2, 2], np.int64),
        "starts": np.array([1], np.int64),
        "ends": np.array([9], np.int64),
        "axes": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["deep"]),
        helper.make_node("Clip", ["deep", "low", "high"], ["clipped"]),
        helper.make_node("GlobalAveragePool", ["clipped"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["classes"]),
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["rows"]),
        helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.array(0.5, dtype))),
        helper.make_node("Mul", ["rows", "half"], ["moved"]),
        helper.make_node(
            "ConstantOfShape", ["pair"], ["filled"], value=numpy_helper.from_array(np.array([3], dtype))
        ),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Cast", ["moved"], ["counted"], to=TensorProto.INT32),
    ]
    outputs = dict.fromkeys(["deep", "classes", "moved", "filled", "same"], kind)
    return _model(nodes, outputs | {"counted": TensorProto.INT32}, weights, kind)


@pytest.mark.parametrize("name", HALVES)
def test_a_network_is_computed_in_single_precision(name: str, tmp_path: Path) -> None:
    half, tolerance = HALVES[name]
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(helper.tensor_dtype_to_np_dtype(half))
    actual = _run(_network(half, half), tmp_path, x)
    single = onnxruntime.InferenceSession(_network(TensorProto.FLOAT, half).SerializeToString())
    names = [output.name for output in single.get_outputs()]
    expected = dict(zip(names, single.run(names, {"x": x.astype(np.float32)}), strict=True))
    for name, value in expected.items():
        is_half = value.dtype == np.float32
        assert actual[name].dtype == (x.dtype if is_half else value.dtype)
        error = relative_error(actual[name].astype(value.dtype), value)
        assert error < (tolerance if is_half else 1e-9), name
    assert np.array_equal(actual["same"], x)


def _rounded(kind: int) -> onnx.ModelProto:
    """A float32 network that rounds on purpose, and one that does not, through a half type."""
    nodes = [
        helper.make_node("Cast", ["x"], ["r"], to=kind),
        helper.make_node("Cast", ["r"], ["rounded"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["r", "r"], ["s"]),
        helper.make_node("Cast", ["s"], ["again"], to=kind),
        helper.make_node("CastLike", ["again", "x"], ["squared"]),
        helper.make_node("CastLike", ["x", "r"], ["like"]),
        helper.make_node("Cast", ["like"], ["unlike"], to=TensorProto.FLOAT),
    ]
    return _model(nodes, dict.fromkeys(["rounded", "squared", "unlike"], TensorProto.FLOAT), {}, 1, 19)


@pytest.mark.parametrize(
    ("kind", "dtype"), [(TensorProto.FLOAT16, np.float16), (TensorProto.BFLOAT16, ml_dtypes.bfloat16)]
)
def test_casts_of_a_single_precision_network_round(kind: int, dtype: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    actual = _run(_rounded(kind), tmp_path, x)
    rounded = x.astype(dtype).astype(np.float32)
    assert np.array_equal(actual["rounded"], rounded)
    assert np.array_equal(actual["unlike"], rounded)
    # Between two operators in half precision nothing is rounded.
    assert np.array_equal(actual["squared"], rounded * rounded)


def test_double_precision_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = {"w": rng.standard_normal((4, 48, 3, 3)), "b": rng.standard_normal(4)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    model = _model(nodes, {"y": TensorProto.DOUBLE}, weights, TensorProto.DOUBLE)
    x = rng.standard_normal(SHAPE)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    assert relative_error(_run(model, tmp_path, x)["y"], expected) < 1e-13
