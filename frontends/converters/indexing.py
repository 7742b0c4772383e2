"""Gather, Scatter and their kin.

Constant indices are checked here and stay operators that passes read as movement; indices known at run time
are guarded by their kernel, and the importer hears what the caller may give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import (
    Converter,
    Expr,
    Node,
    axis_of,
    constant,
    constant_value,
    dtype_of,
    static_shape,
)
from frontends.kernels import encode, indexing


def _counted(indices: Expr, sizes: Sequence[int]) -> NDArray[Any]:
    """Constant indices, negative ones as they count from the start; their last axis goes with `sizes`, or one
    size is for all. Raises ValueError for an index that is out of bounds."""
    values = constant_value(indices, "list of indices")
    extents = np.array(sizes, values.dtype) if len(sizes) > 1 else sizes[0]
    counted = np.where(values < 0, values + extents, values)
    outside = (counted < 0) | (counted >= extents)
    if outside.any():
        where = np.unravel_index(int(outside.argmax()), outside.shape)
        size = np.broadcast_to(extents, outside.shape)[where]
        raise ValueError(f"its index {values[where]} is out of bounds for {size} elements")
    return counted.astype(values.dtype)


def _guard(node: Node, indices: Expr, sizes: Sequence[int]) -> None:
    """Indices known at run time: what they may be. Raises ValueError where nothing can be indexed."""
    if min(sizes, default=1) == 0 and min(static_shape(indices), default=1) > 0:
        raise ValueError("it indexes an axis without elements")
    node.limit(indices, [(-size, size - 1) for size in sizes])


def _may_fold(data: Expr) -> bool:
    """Whether passes could read a scatter of the tensor as movement: else a kernel is certain."""
    return dtype_of(data) == "float32"


def _gather(node: Node) -> Expr:
    data, indices = node.inputs
    axis = axis_of(node.attribute("axis"), data)
    size = static_shape(data)[axis]
    if isinstance(indices, GenericConst):
        return relax.op.take(data, constant(_counted(indices, [size])), axis, "clip")
    _guard(node, indices, [size])
    return node.builder.emit_te(indexing.gather, data, indices, axis)


def _gather_elements(node: Node) -> Expr:
    data, indices = node.inputs
    axis = axis_of(node.attribute("axis"), data)
    size = static_shape(data)[axis]
    if isinstance(indices, GenericConst):
        return relax.op.gather_elements(data, constant(_counted(indices, [size])), axis)
    _guard(node, indices, [size])
    return node.builder.emit_te(indexing.gather_elements, data, indices, axis)


def _gather_nd(node: Node) -> Expr:
    data, indices = node.inputs
    batch = node.attribute("batch_dims", 0)
    depth = static_shape(indices)[-1]
    sizes = static_shape(data)[batch : batch + depth]
    if isinstance(indices, GenericConst):
        indices = constant(_counted(indices, sizes))
        if batch == 0:
            return relax.op.gather_nd(data, indices)
    else:
        _guard(node, indices, sizes)
    return node.builder.emit_te(indexing.gather_nd, data, indices, batch)


def _scatter_elements(node: Node) -> Expr:
    data, indices, updates = node.inputs
    axis, reduction = axis_of(node.attribute("axis"), data), node.attribute("reduction", "none")
    size = static_shape(data)[axis]
    if isinstance(indices, GenericConst):
        indices = constant(_counted(indices, [size]))
        if reduction == "none" and _may_fold(data):
            return relax.op.scatter_elements(data, indices, updates, axis)
    else:
        _guard(node, indices, [size])
    return node.builder.emit_te(indexing.scatter_elements, data, indices, updates, axis, reduction)


def _scatter_nd(node: Node) -> Expr:
    data, indices, updates = node.inputs
    reduction = node.attribute("reduction", "none")
    sizes = static_shape(data)[: static_shape(indices)[-1]]
    if isinstance(indices, GenericConst):
        indices = constant(_counted(indices, sizes))
        if reduction == "none" and _may_fold(data):
            return relax.op.scatter_nd(data, indices, updates)
    else:
        _guard(node, indices, sizes)
    return node.builder.emit_te(indexing.scatter_nd, data, indices, updates, reduction)


def _one_hot(node: Node) -> Expr:
    """Indices that stand for no class give a row without one, so they need no guard."""
    indices, depth, values = node.inputs
    classes = int(constant_value(depth, "depth").reshape(()))
    axis = node.attribute("axis")
    axis = axis if axis >= 0 else axis + len(static_shape(indices)) + 1
    return node.builder.emit_te(encode.one_hot, indices, values, classes, axis)


def _reverse_sequence(node: Node) -> Expr:
    data, lengths = node.inputs
    time, batch = node.attribute("time_axis"), node.attribute("batch_axis")
    size = static_shape(data)[time]
    node.limit(lengths, [(0, size)])
    if dtype_of(lengths) != "int64":
        lengths = relax.op.astype(lengths, "int64")
    return node.builder.emit_te(encode.reverse_sequence, data, lengths, time, batch)


CONVERTERS: Mapping[str, Converter] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "ReverseSequence": _reverse_sequence,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
}
