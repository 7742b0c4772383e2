"""NaN and infinities are results like others: what is no number stays none, as in onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import parser

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions, PassOptions

SHAPE = (1, 16, 8, 8)
OUTPUTS = {
    "relu": ("Relu(x)", SHAPE),
    "clip": ("Clip(x, low, high)", SHAPE),
    "at_least": ("Clip(x, low)", SHAPE),
    "leaky": ("LeakyRelu(x)", SHAPE),
    "sigmoid": ("Sigmoid(x)", SHAPE),
    "tanh": ("Tanh(x)", SHAPE),
    "hard_sigmoid": ("HardSigmoid(x)", SHAPE),
    "hard_swish": ("HardSwish(x)", SHAPE),
    "elu": ("Elu(x)", SHAPE),
    "absolute": ("Abs(x)", SHAPE),
    "exponential": ("Exp(x)", SHAPE),
    "softmax": ("Softmax <axis = 1> (x)", SHAPE),
    "greater": ("Max(x, w)", SHAPE),
    "smaller": ("Min(x, w)", SHAPE),
    "average": ("AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)", (1, 16, 4, 4)),
    "global_average": ("GlobalAveragePool(x)", (1, 16, 1, 1)),
    "nearest": ('Resize <mode = "nearest"> (x, , scales)', (1, 16, 16, 16)),
    "convolution": ("Conv(x, k)", SHAPE),
}
POOLS = {
    "pool": ("MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)", (1, 16, 4, 4)),
    "padded_pool": ("MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x)", SHAPE),
    "global_pool": ("GlobalMaxPool(x)", (1, 16, 1, 1)),
    "highest": ("ReduceMax <axes = [2, 3], keepdims = 0> (x)", (1, 16)),
}


def _type(shape: tuple[int, ...]) -> str:
    return f"float[{','.join(map(str, shape))}]"


@pytest.fixture(scope="module")
def networks(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[shiftc.Session, onnxruntime.InferenceSession]:
    """All operators as one model: compiled, and in onnxruntime without optimization."""
    every = OUTPUTS | POOLS
    results = ", ".join(f"{_type(shape)} {name}" for name, (_, shape) in every.items())
    nodes = "\n".join(f"{name} = {text}" for name, (text, _) in every.items())
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g ({_type(SHAPE)} x, {_type(SHAPE)} w) => ({results})'
        f"{{ low = Constant <value = float {{-1}}> () high = Constant <value = float {{6}}> ()"
        f"scales = Constant <value = float[4] {{1, 1, 2, 2}}> ()"
        f"k = Constant <value = float[16,16,1,1] {{{', '.join(map(str, range(1, 257)))}}}> () {nodes} }}"
    )
    folder = tmp_path_factory.mktemp("nan")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    options = CompileOptions(ModelOptions(folder / "model.onnx"), folder / "out", PassOptions(pairing=False))
    compile_model(options)
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return shiftc.load(folder / "out"), onnxruntime.InferenceSession(model.SerializeToString(), plain)


def _inputs(*strange: float) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    inputs = {name: random.standard_normal(SHAPE).astype(np.float32) for name in "xw"}
    for array in inputs.values():
        for value in strange:
            array.reshape(-1)[random.choice(array.size, 20, replace=False)] = value
    if -np.inf in strange:
        inputs["x"][0, 3] = -np.inf  # all of a channel
    return inputs


def _assert_same(
    networks: tuple[shiftc.Session, onnxruntime.InferenceSession], x: dict[str, np.ndarray]
) -> None:
    ours, peer = networks
    expected = dict(zip((o.name for o in peer.get_outputs()), peer.run(None, x), strict=True))
    # onnxruntime makes the greatest or lowest number of infinity in Clip with one bound, and in pools.
    expected["at_least"] = np.maximum(x["x"], -1)
    lowest = np.finfo(np.float32).min
    expected |= {name: np.where(expected[name] == lowest, -np.inf, expected[name]) for name in POOLS}
    results = ours.run(x)
    for name in OUTPUTS if np.isnan(x["x"]).any() else results:
        np.testing.assert_allclose(results[name], expected[name], rtol=2e-6, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("strange", [(np.inf,), (-np.inf,), (np.inf, -np.inf), (np.nan,), (np.nan, np.inf)])
def test_as_onnxruntime(
    networks: tuple[shiftc.Session, onnxruntime.InferenceSession], strange: tuple[float, ...]
) -> None:
    """But for maxima over windows with NaN, where onnxruntime's results depend on the order of elements."""
    _assert_same(networks, _inputs(*strange))


def test_what_is_no_number_does_not_stay_in_the_session(
    networks: tuple[shiftc.Session, onnxruntime.InferenceSession],
) -> None:
    networks[0].run(_inputs(np.nan, np.inf, -np.inf))
    _assert_same(networks, _inputs())
