"""Transposed convolutions of every attribute against onnxruntime, joined in one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shiftc.options import PassOptions

from .agreement import TOLERANCE, agreement


@attrs.frozen
class Layer:
    """ConvTranspose of `x` by a filter [I, O / groups, …]; `attributes` as ONNX has them."""

    x: tuple[int, ...]
    filter: tuple[int, ...]
    attributes: dict[str, Any] = attrs.field(factory=dict)
    bias: bool = True
    computed: bool = False
    filter_given: bool = False


PAIR = {"strides": [2, 2]}

LAYERS = {
    "a decoder's": Layer((1, 12, 6, 6), (12, 10, 2, 2), PAIR),
    "read where the caller has it": Layer((1, 2, 40, 30), (2, 3, 4, 4), PAIR | {"pads": [1] * 4}),
    "a generator's": Layer((2, 9, 5, 7), (9, 8, 4, 4), PAIR | {"pads": [1] * 4}, computed=True),
    "output padding": Layer((1, 8, 5, 5), (8, 5, 3, 3), PAIR | {"pads": [1] * 4, "output_padding": [1, 1]}),
    "uneven": Layer(
        (1, 5, 4, 6), (5, 7, 3, 5), {"strides": [1, 3], "pads": [2, 0, 1, 3], "output_padding": [0, 2]}
    ),
    "dilated": Layer(
        (1, 4, 5, 4), (4, 6, 3, 2), {"strides": [2, 3], "dilations": [2, 3], "pads": [1, 0, 2, 1]}
    ),
    "dilated by its stride": Layer((1, 3, 5, 5), (3, 4, 2, 2), PAIR | {"dilations": [2, 2]}, computed=True),
    "more stride than kernel": Layer(
        (1, 3, 4, 5), (3, 9, 1, 2), {"strides": [3, 3], "output_padding": [2, 1]}
    ),
    "output shape": Layer((1, 4, 8, 8), (4, 4, 3, 3), PAIR | {"output_shape": [16, 16]}, bias=False),
    "odd output shape": Layer(
        (1, 4, 6, 6), (4, 4, 4, 3), PAIR | {"output_shape": [11, 12], "auto_pad": "SAME_UPPER"}
    ),
    "larger output shape": Layer((1, 4, 3, 3), (4, 4, 2, 2), PAIR | {"output_shape": [7, 6]}),
    "same, lower": Layer((1, 4, 5, 6), (4, 3, 3, 5), {"strides": [2, 3], "auto_pad": "SAME_LOWER"}),
    "valid": Layer((1, 4, 3, 3), (4, 3, 3, 3), PAIR | {"auto_pad": "VALID"}),
    "groups": Layer((1, 12, 5, 5), (12, 5, 3, 3), PAIR | {"group": 3, "pads": [1] * 4}),
    "depthwise": Layer((2, 11, 5, 4), (11, 1, 4, 4), PAIR | {"group": 11, "pads": [1] * 4}, computed=True),
    "depthwise with gaps": Layer((1, 6, 3, 3), (6, 1, 1, 2), {"strides": [2, 3], "group": 6}),
    "depthwise with a multiplier": Layer((1, 6, 4, 4), (6, 2, 3, 3), PAIR | {"group": 6}),
    "one axis": Layer((2, 6, 9), (6, 5, 4), {"strides": [2], "pads": [1, 1]}),
    "three axes": Layer(
        (1, 3, 3, 4, 3), (3, 2, 2, 3, 2), {"strides": [2, 1, 2], "output_padding": [1, 0, 1]}
    ),
    "a filter that is given": Layer((1, 3, 4, 4), (3, 4, 3, 3), PAIR | {"pads": [1] * 4}, filter_given=True),
}


def _joined(layers: dict[str, Layer]) -> onnx.ModelProto:
    """All layers, each with an input and an output of its own and a Relu behind it."""
    rng = np.random.default_rng(3)
    nodes, inputs, outputs, weights = [], [], [], []
    for number, layer in enumerate(layers.values()):
        x, w, b, t, y = (f"{name}{number}" for name in "xwbty")
        inputs.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, layer.x))
        outputs.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, None))
        if layer.filter_given:
            inputs.append(helper.make_tensor_value_info(w, TensorProto.FLOAT, layer.filter))
        else:
            values = rng.standard_normal(layer.filter).astype(np.float32)
            weights.append(numpy_helper.from_array(values, w))
        operands = [x, w]
        if layer.computed:
            nodes.append(helper.make_node("Abs", [x], [f"{x}a"]))
            operands[0] = f"{x}a"
        if layer.bias:
            outputs_of = layer.filter[1] * layer.attributes.get("group", 1)
            weights.append(numpy_helper.from_array(rng.standard_normal(outputs_of).astype(np.float32), b))
            operands.append(b)
        nodes.append(helper.make_node("ConvTranspose", operands, [t], **layer.attributes))
        nodes.append(helper.make_node("Relu", [t], [y]))
    graph = helper.make_graph(nodes, "transposed", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_every_attribute(tmp_path: Path) -> None:
    onnx.save(_joined(LAYERS), tmp_path / "model.onnx")
    found = agreement(tmp_path / "model.onnx", tmp_path)
    assert found.error < TOLERANCE
    generic = [kernel.stage for kernel in found.manifest.kernels if kernel.kind == "generic"]
    assert len(generic) == 3, generic  # of three axes and its bias, and by a filter that is given


@pytest.mark.parametrize("bands", [False, True])
def test_in_chains(bands: bool, tmp_path: Path, threads_pay: None) -> None:
    """Rows of transposed convolutions, dense and depthwise, some of which read nothing."""
    rng = np.random.default_rng(4)
    filters = {"a": (9, 10, 3, 3), "b": (10, 1, 4, 2), "c": (10, 6, 1, 3), "d": (5, 6, 1, 1)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in filters.items()
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "a"], ["s"], strides=[2, 1], pads=[1] * 4),
        helper.make_node("ConvTranspose", ["s", "b"], ["t"], strides=[2, 2], group=10, pads=[1, 0, 1, 0]),
        helper.make_node("ConvTranspose", ["t", "c"], ["u"], strides=[2, 2], pads=[0, 1, 0, 1]),
        helper.make_node("Conv", ["u", "d"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 9, 7, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    passes = PassOptions(chain=8, h_tiles=5, force_chains=True)
    found = agreement(tmp_path / "model.onnx", tmp_path, threads=2 if bands else 1, passes=passes)
    assert found.error < TOLERANCE
    assert any(kernel.kind == "chain" for kernel in found.manifest.kernels)
