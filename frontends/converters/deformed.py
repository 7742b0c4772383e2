"""DeformConv: its windows are gathered pixel by pixel, what is left is a pointwise convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import Converter, Expr, Node, constant, fields_of, static_shape
from frontends.converters.windows import add_bias
from frontends.kernels import sampling


def _deform_conv(node: Node) -> Expr:
    data, weight, offsets = node.inputs[0], node.inputs[1], node.inputs[2]
    bias, mask = node.optional(3), node.optional(4)
    batch, channels, *sizes = static_shape(data)
    if len(sizes) != 2:
        raise ValueError(f"planes of {len(sizes)} axes are not supported, those of 2 are")
    outputs, per_group, *kernel = static_shape(weight)
    if list(node.attribute("kernel_shape", kernel)) != kernel:
        raise ValueError(f"its kernel_shape is not that of its weights, {kernel}")
    groups, shared = node.attribute("group"), node.attribute("offset_group")
    if channels != groups * per_group or outputs % groups:
        raise ValueError(f"{channels} channels do not fit weights {static_shape(weight)} in {groups} groups")
    if channels % shared:
        raise ValueError(f"{channels} channels do not fall into {shared} groups of offsets")
    strides, dilations = node.attribute("strides", (1, 1)), node.attribute("dilations", (1, 1))
    pads = node.attribute("pads", (0, 0, 0, 0))
    plane = [
        (sizes[axis] + pads[axis] + pads[axis + 2] - (kernel[axis] - 1) * dilations[axis] - 1)
        // strides[axis]
        + 1
        for axis in range(2)
    ]
    taps = prod(kernel)
    _require_shape("offset", offsets, (batch, shared * taps * 2, *plane))
    if mask is not None:
        _require_shape("mask", mask, (batch, shared * taps, *plane))
    windows = sampling.Windows(kernel, strides, pads[:2], dilations)

    def deformed_places(offsets: Any, *mask: Any) -> Any:
        return sampling.deformed_places(offsets, mask[0] if mask else None, windows, sizes)

    emit = node.builder.emit
    places = node.builder.emit_te(deformed_places, *([offsets] if mask is None else [offsets, mask]))
    gathered = node.builder.emit_te(sampling.deformed_windows, data, *map(emit, fields_of(places)))
    columns = emit(relax.op.reshape(gathered, (batch, channels * taps, *plane)))
    pointwise = _reshaped(weight, (outputs, per_group * taps, 1, 1))
    return add_bias(emit(relax.op.nn.conv2d(columns, emit(pointwise), groups=groups)), bias, 2)


def _require_shape(what: str, value: Expr, shape: Sequence[int]) -> None:
    if static_shape(value) != tuple(shape):
        raise ValueError(f"its {what} is {list(static_shape(value))} in place of {list(shape)}")


def _reshaped(weight: Expr, shape: Sequence[int]) -> Expr:
    """Constants stay constants, which templates want."""
    if isinstance(weight, GenericConst):
        return constant(weight.value.numpy().reshape(shape))
    return relax.op.reshape(weight, shape)


CONVERTERS: Mapping[str, Converter] = {"DeformConv": _deform_conv}
