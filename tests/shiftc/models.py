"""Small ONNX models for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS, SIZE = 9, 6


def shift_network(size: int | str = SIZE) -> onnx.ModelProto:
    """relu(pointwise(shift(x))): the shift as a one-hot depthwise convolution, one offset per channel."""
    random = np.random.default_rng(0)
    one_hot = np.eye(9, dtype=np.float32).reshape(CHANNELS, 1, 3, 3)
    pointwise = random.standard_normal((4, CHANNELS, 1, 1)).astype(np.float32)
    bias = random.standard_normal(4).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "one_hot"], ["s"], name="shift", group=CHANNELS, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["s", "pointwise", "bias"], ["p"], name="pointwise"),
        helper.make_node("Relu", ["p"], ["y"], name="relu"),
    ]
    weights = [
        numpy_helper.from_array(one_hot, "one_hot"),
        numpy_helper.from_array(pointwise, "pointwise"),
        numpy_helper.from_array(bias, "bias"),
    ]
    return _model(nodes, weights, [1, CHANNELS, size, size], [1, 4, size, size])


def bottleneck_network() -> onnx.ModelProto:
    """pointwise(depthwise(relu(pointwise(x)))): a hidden tensor of eight times the channels of its ends."""
    random = np.random.default_rng(0)
    shapes = {"expand": (128, 16, 1, 1), "filter": (128, 1, 3, 3), "project": (16, 128, 1, 1)}
    weights = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32) / shape[1], name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "expand"], ["e"]),
        helper.make_node("Relu", ["e"], ["r"]),
        helper.make_node("Conv", ["r", "filter"], ["f"], group=128, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["f", "project"], ["y"]),
    ]
    return _model(nodes, weights, [1, 16, 24, 12], [1, 16, 24, 12])


def shift_operator_network(domain: str) -> onnx.ModelProto:
    """pointwise(Shift(x)) with a custom operator of `domain`; the paper's grouped layout."""
    pointwise = np.random.default_rng(0).standard_normal((4, CHANNELS, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node(
            "Shift", ["x"], ["s"], name="shift", domain=domain, kernel_size=3, dilation=1, layout="grouped"
        ),
        helper.make_node("Conv", ["s", "pointwise"], ["y"], name="pointwise"),
    ]
    weights = [numpy_helper.from_array(pointwise, "pointwise")]
    model = _model(nodes, weights, [1, CHANNELS, SIZE, SIZE], [1, 4, SIZE, SIZE])
    model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


def unsupported_network() -> onnx.ModelProto:
    """Two operators nobody knows."""
    nodes = [
        helper.make_node("Abacus", ["x"], ["a"], name="first", domain="museum"),
        helper.make_node("SlideRule", ["a"], ["y"], name="second", domain="museum"),
    ]
    model = _model(nodes, [], [1, 3], [1, 3])
    model.opset_import.append(helper.make_opsetid("museum", 1))
    return model


def with_external_data(location: str) -> onnx.ModelProto:
    """The shift network with its bias in another file."""
    model = shift_network()
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.ClearField("raw_data")
    bias.data_location = TensorProto.EXTERNAL
    bias.external_data.add(key="location", value=location)
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Writes the model as it is, without checks."""
    path.write_bytes(model.SerializeToString())
    return path


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    input_shape: list[int | str],
    output_shape: list[int | str],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
