"""Pools whose windows ONNX's shape inference counts wrongly are written without `ceil_mode`.

With `ceil_mode` the last window may reach beyond the padding, but none begins behind the input's elements.
Before opset 22 the inference forgets the second half of that rule: it contradicts the shapes that exporters
declare, and what is computed of shapes. Such a pool becomes one whose padding at the end is as long as its
windows need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import helper, numpy_helper

from frontends.model_file import standard_opset
from frontends.pooling import Windows, windows

_FIRST_PAD_WITH_INPUTS = 11
"""The opset."""
POOLS = ("AveragePool", "LpPool", "MaxPool")


def settle_ceil_mode(model: onnx.ModelProto) -> None:
    """Write the pools that are counted wrongly without `ceil_mode`, in place.

    What a pool reads has the right shape only when the pools before it are settled: shapes are inferred anew
    behind each that is.
    """
    while _settle_first(model):
        pass


def _settle_first(model: onnx.ModelProto) -> bool:
    candidates = [
        (node, given) for node in model.graph.node if (given := _attributes(node)).get("ceil_mode", 0)
    ]
    if not candidates:
        return False
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
        if all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
    }
    for node, given in candidates:
        axes = _windows(given, shapes.get(node.input[0], [])[2:])
        if any(_is_miscounted(axis) for axis in axes):
            if given.get("count_include_pad"):
                axes = _pad_apart(model, node, axes)
            _write_padded(node, axes)
            return True
    return False


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    if node.domain or node.op_type not in POOLS:
        return {}
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _windows(given: Mapping[str, Any], sizes: Sequence[int]) -> list[Windows]:
    """By ONNX's rule; none where sizes are not known, or fit no windows: the pool's converter says why."""
    names = ("kernel_shape", "strides", "dilations", "pads")
    kernel, strides, dilations, pads = (given.get(name) for name in names)
    try:
        auto_pad = given.get("auto_pad", b"NOTSET").decode()
        return windows(sizes, kernel or [], strides, dilations, pads, auto_pad, ceil_mode=True)
    except ValueError:
        return []


def _is_miscounted(axis: Windows) -> bool:
    """There is room for the start of another window, behind the last element."""
    return axis.size + axis.before + axis.after - axis.reach > (axis.outputs - 1) * axis.stride


def _pad_apart(model: onnx.ModelProto, node: onnx.NodeProto, axes: Sequence[Windows]) -> list[Windows]:
    """The windows over elements that the padding has become: unlike what lies behind it, it counts."""
    pads = [0, 0, *(axis.before for axis in axes), 0, 0, *(axis.after for axis in axes)]
    padded, widths = f"{node.output[0]}/padded", f"{node.output[0]}/pads"
    inputs, attributes = [node.input[0]], {"pads": pads}
    if standard_opset(model) >= _FIRST_PAD_WITH_INPUTS:
        model.graph.initializer.append(numpy_helper.from_array(np.array(pads, np.int64), widths))
        inputs, attributes = [*inputs, widths], {}
    pad = helper.make_node("Pad", inputs, [padded], f"{node.name}/Pad", **attributes)
    model.graph.node.insert(list(model.graph.node).index(node), pad)
    node.input[0] = padded
    return [attrs.evolve(a, size=a.size + a.before + a.after, before=0, after=0) for a in axes]


def _write_padded(node: onnx.NodeProto, axes: Sequence[Windows]) -> None:
    dropped = ("auto_pad", "ceil_mode", "count_include_pad", "pads")
    kept = [entry for entry in node.attribute if entry.name not in dropped]
    before, after = [axis.before for axis in axes], [axis.needed_after for axis in axes]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("pads", [*before, *after])])
