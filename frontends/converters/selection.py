"""Operators whose number of results depends on data: detections, and elements that fulfil a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import (
    Converter,
    Counted,
    Expr,
    Node,
    axis_of,
    constant,
    constant_value,
    dtype_of,
    fields_of,
    static_shape,
)
from frontends.kernels import selection, suppression


def _counted(node: Node, fields: Sequence[Expr], axes: Mapping[int, int]) -> list[Expr]:
    """Outputs of a kernel whose last result is the number of rows, along an axis of each output in `axes`."""
    *results, count = (node.builder.emit(field) for field in fields)
    node.counted.update({index: Counted(axis, count) for index, axis in axes.items()})
    return results


def _non_max_suppression(node: Node) -> list[Expr]:
    boxes, scores = node.inputs[:2]
    count = static_shape(scores)[2]
    most, overlap, threshold = (node.optional(index) for index in (2, 3, 4))
    if most is None:
        most = constant(np.zeros(1, np.int64))
    rows = count
    if isinstance(most, GenericConst):
        rows = min(count, max(int(constant_value(most, "number of boxes").reshape(())), 0))
    if rows == 0:
        return [constant(np.zeros((0, 3), np.int64))]
    overlap = constant(np.zeros(1, np.float32)) if overlap is None else overlap
    threshold = constant(np.full(1, -np.inf, np.float32)) if threshold is None else threshold
    scalars = (relax.op.reshape(scalar, [1]) for scalar in (most, overlap, threshold))
    centered = bool(node.attribute("center_point_box"))
    bound = node.builder.emit_te(
        suppression.non_max_suppression, boxes, scores, *map(node.builder.normalize, scalars), rows, centered
    )
    return _counted(node, fields_of(bound), {0: 0})


def _nonzero(node: Node) -> list[Expr]:
    bound = node.builder.emit_te(selection.nonzero, node.inputs[0])
    return _counted(node, fields_of(bound), {0: 1})


def _compress(node: Node) -> list[Expr]:
    data, condition = node.inputs
    axis = node.attribute("axis")
    if axis is None:
        data = node.builder.normalize(relax.op.reshape(data, [int(np.prod(static_shape(data)))]))
    axis = axis_of(axis or 0, data)
    if isinstance(condition, GenericConst):
        size = static_shape(data)[axis]
        kept = np.flatnonzero(constant_value(condition, "condition")[:size]).astype(np.int64)
        return [relax.op.take(data, constant(kept), axis, "clip")]
    bound = node.builder.emit_te(selection.compress, data, condition, axis)
    return _counted(node, fields_of(bound), {0: axis})


def _unique(node: Node) -> list[Expr]:
    data, axis = node.inputs[0], node.attribute("axis")
    if axis is None:
        data = node.builder.normalize(relax.op.reshape(data, [int(np.prod(static_shape(data)))]))
    axis = axis_of(axis or 0, data)
    if dtype_of(data) == "bool":
        raise ValueError("it sorts bool: cast its input to uint8")
    bound = node.builder.emit_te(selection.unique, data, axis, bool(node.attribute("sorted")))
    return _counted(node, fields_of(bound), {0: axis, 1: 0, 3: 0})


CONVERTERS: Mapping[str, Converter] = {
    "Compress": _compress,
    "NonMaxSuppression": _non_max_suppression,
    "NonZero": _nonzero,
    "Unique": _unique,
}
