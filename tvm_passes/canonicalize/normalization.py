"""Normalizations as data, whether the graph has them as one operator or spelled out.

    y = (x - mean) / sqrt(variance + epsilon) * scale + offset     mean and variance over some axes of x
    y = exp(x) / sum(exp(x))

Exporters write the first in nine operators where the opset has no LayerNormalization, and the importer
takes InstanceNormalization apart; what `decomposed` finds are these forms:

    d = x - mean(x),  v = mean(d ** 2) | mean(d * d) | variance(x)
    d / sqrt(v + epsilon) | d * rsqrt(v + epsilon) | d * (1 / sqrt(v + epsilon)) | … ** 0.5 | … ** -0.5
"""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np
from tvm.ir import Expr

from ..array import Array
from ..graph import Node
from ..relax_values import constant_of, scalar_of, shape_of
from ..uses import Uses

Kind = Literal["standard", "softmax"]

_OPERATORS = tuple(f"relax.nn.{name}_norm" for name in ("layer", "group", "instance"))


@attrs.frozen(eq=False)
class Normalization:
    """What is normalized, over which axes.

    groups:        into how many the channels, axis 1, are divided, if that is one of the axes.
    scale, offset: constants that broadcast to the data; None for 1 and 0.
    """

    kind: Kind
    data: Expr
    axes: tuple[int, ...]
    epsilon: float = 0.0
    groups: int = 1
    scale: Array | None = None
    offset: Array | None = None

    def labels(self) -> Array:
        """For every element of the data a number that it shares with what it is normalized together with."""
        shape = shape_of(self.data)
        kept = [1 if axis in self.axes else extent for axis, extent in enumerate(shape)]
        kept[1] *= self.groups
        labels = np.arange(np.prod(kept), dtype=np.int32).reshape(kept)
        if self.groups > 1:
            labels = labels.repeat(shape[1] // self.groups, axis=1)
        return np.broadcast_to(labels, shape)


def normalization_of(uses: Uses, node: Node) -> Normalization | str:
    """The normalization whose result the node computes, or why it is none."""
    if node.op in ("relax.divide", "relax.multiply"):
        return decomposed(uses, node)
    if node.op == "relax.nn.softmax":
        axis = int(node.call.attrs.axis) % len(shape_of(node.var))
        return Normalization("softmax", node.call.args[0], (axis,))
    if node.op in _OPERATORS:
        return _operator(node)
    return f"{node.op} is no normalization"


# --- as one operator ----------------------------------------------------------------------------------


def _operator(node: Node) -> Normalization | str:
    data, attributes, shape = node.call.args[0], node.call.attrs, shape_of(node.var)
    axes = tuple(sorted(int(axis) % len(shape) for axis in attributes.axes))
    affine, groups = axes, 1
    if node.op in ("relax.nn.group_norm", "relax.nn.instance_norm"):
        if int(attributes.channel_axis) % len(shape) != 1:
            return f"{node.op} with channels along axis {int(attributes.channel_axis)}"
        affine = (1,)
    if node.op == "relax.nn.group_norm":
        groups, axes = int(attributes.num_groups), (1, *axes)
    vectors = [constant_of(arg) for arg in node.call.args[1:]]
    if any(vector is None for vector in vectors):
        return f"{node.op} with a scale or offset that is not constant"
    extents = [extent if axis in affine else 1 for axis, extent in enumerate(shape)]
    scale, offset = (None if v is None else v.reshape(extents) for v in vectors)
    return Normalization(
        "standard",
        data,
        axes,
        float(attributes.epsilon),
        groups,
        None if scale is None or (scale == 1).all() else scale,
        None if offset is None or (offset == 0).all() else offset,
    )


# --- spelled out --------------------------------------------------------------------------------------


def decomposed(uses: Uses, node: Node) -> Normalization | str:
    """The normalization that ends with this division or product."""
    quotient = _over_root(uses, node)
    if quotient is None:
        return f"{node.op} by no square root"
    numerator, radicand = quotient
    biased = _with_scalar(uses.producer(radicand), "relax.add")
    if biased is None:
        return "nothing is added under the root"
    moment, epsilon = biased
    variance = uses.producer(moment)
    if variance is None or variance.op not in ("relax.mean", "relax.variance"):
        return "what is under the root is no mean or variance"
    if not bool(variance.call.attrs.keepdims):
        return "the variance is broadcast along other axes"
    deviation = _deviation(uses, numerator)
    if deviation is None:
        return "the numerator is no deviation from a mean"
    data, axes = deviation
    if variance.op == "relax.variance":
        same = variance.call.args[0].same_as(data)
    else:
        squared = _square(uses.producer(variance.call.args[0]))
        if squared is None:
            return "the mean under the root is not one of squares"
        other = _deviation(uses, squared)
        same = other is not None and other[0].same_as(data) and other[1] == axes
    if not same:
        return "the variance is another tensor's"
    if _axes(variance) != axes:
        return f"the mean is over axes {axes}, the variance over {_axes(variance)}"
    return Normalization("standard", data, axes, epsilon)


def _over_root(uses: Uses, node: Node) -> tuple[Expr, Expr] | None:
    """(a, r) of a / sqrt(r), in any of its forms."""
    left, right = node.call.args
    if node.op == "relax.divide":
        radicand = _root(uses.producer(right))
        return None if radicand is None else (left, radicand)
    for numerator, inverse in ((left, right), (right, left)):
        producer = uses.producer(inverse)
        radicand = _inverse_root(uses, producer)
        if radicand is not None:
            return numerator, radicand
    return None


def _root(node: Node | None) -> Expr | None:
    """r of sqrt(r)."""
    if node is not None and node.op == "relax.sqrt":
        return node.call.args[0]
    return _power(node, 0.5)


def _inverse_root(uses: Uses, node: Node | None) -> Expr | None:
    """r of 1 / sqrt(r)."""
    if node is None:
        return None
    if node.op == "relax.rsqrt":
        return node.call.args[0]
    if node.op == "relax.divide" and scalar_of(node.call.args[0]) == 1.0:
        return _root(uses.producer(node.call.args[1]))
    return _power(node, -0.5)


def _power(node: Node | None, exponent: float) -> Expr | None:
    if node is None or node.op != "relax.power" or scalar_of(node.call.args[1]) != exponent:
        return None
    return node.call.args[0]


def _square(node: Node | None) -> Expr | None:
    """d of d * d or d ** 2."""
    if node is not None and node.op == "relax.multiply" and node.call.args[0].same_as(node.call.args[1]):
        return node.call.args[0]
    return _power(node, 2.0)


def _deviation(uses: Uses, value: Expr) -> tuple[Expr, tuple[int, ...]] | None:
    """(x, axes) of x - mean(x, axes)."""
    difference = uses.producer(value)
    if difference is None or difference.op != "relax.subtract":
        return None
    data, subtrahend = difference.call.args
    mean = uses.producer(subtrahend)
    if mean is None or mean.op != "relax.mean" or not mean.call.args[0].same_as(data):
        return None
    return (data, _axes(mean)) if bool(mean.call.attrs.keepdims) else None


def _axes(node: Node) -> tuple[int, ...]:
    """The axes of a reduction, counted from the front."""
    rank = len(shape_of(node.call.args[0]))
    axes = node.call.attrs.axis
    return tuple(range(rank)) if axes is None else tuple(sorted(int(axis) % rank for axis in axes))


def _with_scalar(node: Node | None, op: str) -> tuple[Expr, float] | None:
    """x and the number of `x op number`."""
    if node is None or node.op != op:
        return None
    for value, other in (node.call.args, reversed(node.call.args)):
        number = scalar_of(other)
        if number is not None and scalar_of(value) is None:
            return value, number
    return None
