"""Movement of tensors that are not float32: no index map, but right."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions
from shiftc.tensors import made_up, read_inputs, write_tensors

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


def test_a_network_of_floats_of_8_bits(tmp_path: Path) -> None:
    """Between two convolutions numbers are float8, moved as such; so is one output, also in a file."""
    path, random = tmp_path / "model.onnx", np.random.default_rng(4)

    def quarters(*shape: int) -> np.ndarray:  # sums of their products are exact
        return (random.integers(-8, 9, shape) / 4).astype(np.float32)

    x = quarters(1, 4, 6, 5)
    weights = {
        "w": quarters(8, 4, 1, 1),
        "v": quarters(4, 8, 3, 3),
        "s": np.float32([0.125]).reshape(()),
        "z": np.zeros((), ml_dtypes.float8_e5m2),
    }
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[1,4,6,5] x) => (float[1,4,5,6] y, float8e5m2[1,8,5,6] t) {
            a = Conv(x, w)  q = QuantizeLinear(a, s, z)  t = Transpose<perm = [0, 1, 3, 2]>(q)
            d = DequantizeLinear(t, s, z)  y = Conv<pads = [1, 1, 1, 1]>(d, v) }""")
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.save(model, path)
    compile_model(CompileOptions(ModelOptions(path), tmp_path / "artifact"))
    session = shiftc.load(tmp_path / "artifact")
    y, t = ReferenceEvaluator(model).run(None, {"x": x})
    outputs = session.run({"x": x})
    assert outputs["t"].dtype == t.dtype
    np.testing.assert_array_equal(outputs["t"], t)
    np.testing.assert_array_equal(outputs["y"], y)
    write_tensors(tmp_path / "t.npz", {"t": outputs["t"]})
    spec = session.signature.outputs[1]
    np.testing.assert_array_equal(read_inputs(tmp_path / "t.npz", (spec,))["t"], outputs["t"])
