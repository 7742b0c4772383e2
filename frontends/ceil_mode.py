"""Pools whose windows ONNX's shape inference counts wrongly are written without `ceil_mode`.

With `ceil_mode` the last window may reach beyond the padding, but none begins behind the input's elements.
Before opset 22 the inference forgets the second half of that rule: it contradicts the shapes that exporters
declare, and what is computed of shapes. Such a pool becomes one whose padding at the end is as long as its
windows need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import helper

from frontends.pooling import Windows, windows

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
        for value in (*inferred.input, *inferred.value_info)
        if all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
    }
    for node, given in candidates:
        axes = _windows(given, shapes.get(node.input[0], [])[2:])
        if any(_is_miscounted(axis) for axis in axes) and _may_be_padded(given, axes):
            _write_padded(node, given, axes)
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


def _may_be_padded(given: Mapping[str, Any], axes: Sequence[Windows]) -> bool:
    """An average that counts padding would count what is added to it."""
    return not given.get("count_include_pad") or all(axis.needed_after <= axis.after for axis in axes)


def _write_padded(node: onnx.NodeProto, given: Mapping[str, Any], axes: Sequence[Windows]) -> None:
    """Averages that count padding have the padding they had: their windows fit into it."""
    kept = [entry for entry in node.attribute if entry.name not in ("ceil_mode", "auto_pad", "pads")]
    after = [axis.after if given.get("count_include_pad") else axis.needed_after for axis in axes]
    pads = helper.make_attribute("pads", [*(axis.before for axis in axes), *after])
    del node.attribute[:]
    node.attribute.extend([*kept, pads])
