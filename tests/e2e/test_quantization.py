"""Quantized operators: integers exact, roundings to even, sums within one quantum of onnxruntime's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

N, C, S, FILTERS = 2, 6, 8, 5


class _Model:
    """Collects nodes with their weights, and results of which everything is compared."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.results: list[str] = []
        self.quanta: dict[str, float] = {}
        self.random = np.random.default_rng(3)

    def weight(self, value: object, dtype: object) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(value).astype(dtype), name))
        return name

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: str) -> str:
        return self.weight(self.random.integers(low, high, shape), dtype)

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def result(self, value: str, quantum: float = 0) -> None:
        """quantum: how much the result may differ by."""
        self.results.append(value)
        self.quanta[value] = quantum

    def scale(self, *values: float) -> str:
        return self.weight(values[0] if len(values) == 1 else values, np.float32)


def _quantized_tensors(m: _Model) -> None:
    half, channels = m.scale(0.5), m.scale(*(0.1 + 0.07 * c for c in range(C)))
    for dtype, zero in (("uint8", 120), ("int8", -3), ("int16", 7), ("uint16", 4000)):
        q = m.add("QuantizeLinear", "x", half, m.weight(zero, dtype))
        m.result(q)
        m.result(m.add("DequantizeLinear", q, half, m.weight(zero, dtype)))
    m.result(m.add("QuantizeLinear", "x", half))
    q = m.add("QuantizeLinear", "x", channels, m.weight(range(C), "int8"), axis=1)
    m.result(q, 1)  # a quotient of these scales may be rounded otherwise
    m.result(m.add("DequantizeLinear", "u", channels, m.weight(range(C), "uint8"), axis=1))
    blocks = m.weight(m.random.uniform(0.1, 1, (N, C, S, 2)), "float32")
    m.result(m.add("DequantizeLinear", "u", blocks, axis=3, block_size=4))
    m.result(m.add("QuantizeLinear", "x", m.scale(0.1), output_dtype=TensorProto.INT8), 1)


def _convolutions(m: _Model) -> None:
    x_scale, x_zero = m.scale(0.03), m.weight(120, "uint8")
    w_scale = m.scale(*(0.002 + 0.001 * c for c in range(FILTERS)))
    # Weights of 7 bits: on AVX2, onnxruntime's sums of products of 8 bits saturate at 16.
    w, zeros = m.integers(-63, 64, (FILTERS, C, 3, 3), "int8"), m.weight(np.zeros(FILTERS), "int8")
    bias = m.integers(-900, 900, (FILTERS,), "int32")
    y_scale, y_zero = m.scale(0.05), m.weight(128, "uint8")
    q = m.add("QuantizeLinear", "x", x_scale, x_zero)
    y = m.add(
        "QLinearConv",
        q,
        x_scale,
        x_zero,
        w,
        w_scale,
        zeros,
        y_scale,
        y_zero,
        bias,
        pads=[1] * 4,
        strides=[2, 1],
    )
    m.result(y, 1)
    floats = m.add("DequantizeLinear", w, w_scale, zeros, axis=0)
    bias_scale = m.weight(0.03 * (0.002 + 0.001 * np.arange(FILTERS)), "float32")
    offsets = m.add("DequantizeLinear", bias, bias_scale, axis=0)
    conv = m.add(
        "Conv", m.add("DequantizeLinear", q, x_scale, x_zero), floats, offsets, auto_pad="SAME_UPPER"
    )
    relu = m.add("Relu", conv)
    m.result(m.add("DequantizeLinear", m.add("QuantizeLinear", relu, y_scale, y_zero), y_scale, y_zero), 0.05)
    m.result(m.add("ConvInteger", "u", w, m.weight(117, "uint8"), m.weight(0, "int8"), pads=[1] * 4))


def _products(m: _Model) -> None:
    one, zero = m.scale(0.02), m.weight(128, "uint8")
    b = m.integers(60, 190, (S, FILTERS), "uint8")
    m.result(m.add("QLinearMatMul", "u", one, zero, b, one, zero, m.scale(0.03), zero), 1)
    m.result(m.add("MatMulInteger", "u", b, m.weight(3, "uint8"), zero))
    m.result(m.add("MatMulInteger", "u", b))
    nibbles = helper.make_tensor(
        "nibbles", TensorProto.INT4, (S, FILTERS), m.random.integers(-8, 8, S * FILTERS)
    )
    m.weights.append(nibbles)
    blocks = m.weight(m.random.uniform(0.1, 0.2, (2, FILTERS)), "float32")
    floats = m.add("DequantizeLinear", "nibbles", blocks, axis=0, block_size=4)
    m.result(m.add("MatMul", "x", floats), 1e-5)


def _contributed(m: _Model) -> None:
    ms = {"domain": "com.microsoft"}
    s, z = m.scale(0.04), m.weight(100, "uint8")
    t, v = m.scale(0.07), m.weight(90, "uint8")
    m.result(m.add("QLinearAdd", "u", s, z, "u", t, v, m.scale(0.1), z, **ms), 1)
    m.result(m.add("QLinearMul", "u", s, z, "u", t, v, m.scale(0.317), z, **ms), 1)
    m.result(m.add("QLinearConcat", t, v, "u", s, z, "u", t, v, axis=1, **ms), 1)
    m.result(m.add("QLinearLeakyRelu", "u", s, z, t, v, alpha=0.1, **ms), 1)
    m.result(m.add("QLinearSigmoid", "u", s, z, m.scale(1 / 256), m.weight(0, "uint8"), **ms), 1)
    m.result(m.add("QLinearGlobalAveragePool", "u", s, z, t, v, channels_last=0, **ms), 1)
    rows = m.add("Reshape", "u", m.weight([N * C, S * S], "int64"))
    b = m.integers(-60, 60, (7, S * S), "int8")
    bias = m.integers(-99, 99, (7,), "int32")
    gemm = m.add("QGemm", rows, s, z, b, t, m.weight(0, "int8"), bias, m.scale(1.1), v, transB=1, **ms)
    m.result(gemm, 1)


@pytest.fixture(scope="module")
def model() -> tuple[onnx.ModelProto, dict[str, float]]:
    m = _Model()
    for part in (_quantized_tensors, _convolutions, _products, _contributed):
        part(m)
    dynamic = helper.make_node("DynamicQuantizeLinear", ["x"], ["dq", "dq_scale", "dq_zero"], "dynamic")
    m.nodes.append(dynamic)
    for name, quantum in (("dq", 1), ("dq_scale", 1e-6), ("dq_zero", 0)):
        m.result(name, quantum)
    graph = helper.make_graph(
        m.nodes,
        "quantized",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, (N, C, S, S)),
            helper.make_tensor_value_info("u", TensorProto.UINT8, (N, C, S, S)),
        ],
        [onnx.ValueInfoProto(name=name) for name in m.results],
        m.weights,
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), _plain())
    kinds = {"float": TensorProto.FLOAT, "int32": TensorProto.INT32}
    for value, found in zip(model.graph.output, session.get_outputs(), strict=True):
        name = found.type[7:-1]
        kind = kinds.get(name) or TensorProto.DataType.Value(name.upper())
        value.CopyFrom(helper.make_tensor_value_info(found.name, kind, found.shape))
    return model, m.quanta


def _plain() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def test_as_onnxruntime(model: tuple[onnx.ModelProto, dict[str, float]], tmp_path: Path) -> None:
    proto, quanta = model
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    compile_model(CompileOptions(ModelOptions(tmp_path / "model.onnx"), tmp_path / "out"))
    random = np.random.default_rng(11)
    inputs = {
        "x": (random.integers(-300, 300, (N, C, S, S)) / 4).astype(np.float32),  # many halves of quanta
        "u": random.integers(0, 256, (N, C, S, S)).astype(np.uint8),
    }
    peer = onnxruntime.InferenceSession(proto.SerializeToString(), _plain())
    expected = dict(zip(quanta, peer.run(list(quanta), inputs), strict=True))
    results = shiftc.load(tmp_path / "out").run(inputs)
    for name, quantum in quanta.items():
        assert results[name].dtype == expected[name].dtype, name
        difference = np.abs(results[name].astype(np.float64) - expected[name])
        assert difference.max() <= quantum * 1.0001, (name, difference.max())
        if quantum == 1:
            assert np.mean(difference > 0) < 0.01, (name, np.mean(difference > 0))
