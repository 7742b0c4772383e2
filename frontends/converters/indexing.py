"""Gather, Scatter and their kin.

Constant indices are checked here and stay operators that passes read as movement; indices known at run time
are guarded by their kernel, and the importer hears what the caller may give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
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
    _require_elements(indices, sizes)
    node.limit(indices, [(-size, size - 1) for size in sizes])


def _require_elements(indices: Expr, sizes: Sequence[int]) -> None:
    if min(sizes, default=1) < 1 and min(static_shape(indices), default=1) > 0:
        raise ValueError("it indexes an axis without elements")


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


def _max_unpool(node: Node) -> Expr:
    """Indices count the elements of the tensor that was pooled, in the shape that kernel, strides and pads
    tell; an `output_shape` that is larger has zeros behind it. So ONNX's reference has it; onnxruntime takes
    the indices for elements of the result."""
    data, indices = node.inputs[:2]
    stated = node.optional(2)
    kernel = node.attribute("kernel_shape")
    strides = node.attribute("strides", (1,) * len(kernel))
    pads = node.attribute("pads", (0,) * (2 * len(kernel)))
    shape = static_shape(data)
    if static_shape(indices) != shape:
        raise ValueError(f"its indices are {list(static_shape(indices))} for data {list(shape)}")
    if len(kernel) != len(shape) - 2:
        raise ValueError(f"its kernel_shape has {len(kernel)} axes for data {list(shape)}")
    pooled = list(shape)
    for axis, size in enumerate(kernel):
        padded = pads[axis] + pads[axis + len(kernel)]
        pooled[axis + 2] = (shape[axis + 2] - 1) * strides[axis] - padded + size
    result = pooled if stated is None else constant_value(stated, "output_shape").tolist()
    if len(result) != len(pooled) or any(have < need for have, need in zip(result, pooled, strict=True)):
        raise ValueError(f"its output_shape {result} has no room for {pooled}")
    _require_elements(indices, pooled)
    if isinstance(indices, GenericConst):
        _counted(indices, [prod(pooled)])
    else:
        node.limit(indices, [(0, prod(pooled) - 1)])

    def unpool(values: Any, at: Any) -> Any:
        return indexing.unpool(values, at, pooled, result)

    return node.builder.emit_te(unpool, data, indices)


def _tensor_scatter(node: Node) -> Expr:
    cache, update = node.inputs[:2]
    first = node.optional(2)
    axis, circular = axis_of(node.attribute("axis"), cache), node.attribute("mode") == "circular"
    shape, updated = static_shape(cache), static_shape(update)
    if axis == 0:
        raise ValueError("its axis is that of the batch")
    room = shape[axis] - updated[axis] if len(shape) == len(updated) else -1
    if room < 0 or (*updated[:axis], shape[axis], *updated[axis + 1 :]) != shape:
        raise ValueError(f"its update is {list(updated)} for a cache of {list(shape)}")
    if 0 in updated:
        return cache
    if first is None:
        first = constant(np.zeros(shape[0], np.int64))
    elif not circular and isinstance(first, GenericConst):
        _counted(first, [room + 1])
    elif not circular:
        node.limit(first, [(0, room)])
    return node.builder.emit_te(indexing.overwrite, cache, update, first, axis, circular)


def _trilu(node: Node) -> Expr:
    data, diagonal = node.inputs[0], node.optional(1)
    upper = bool(node.attribute("upper"))
    if 0 in static_shape(data):
        return data
    if diagonal is None or isinstance(diagonal, GenericConst):
        number = 0 if diagonal is None else int(constant_value(diagonal, "k").reshape(()))
        return relax.op.triu(data, number) if upper else relax.op.tril(data, number)
    diagonal = node.builder.normalize(relax.op.reshape(diagonal, [1]))
    return node.builder.emit_te(encode.triangle, data, diagonal, upper)


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
    "MaxUnpool": _max_unpool,
    "OneHot": _one_hot,
    "ReverseSequence": _reverse_sequence,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TensorScatter": _tensor_scatter,
    "Trilu": _trilu,
}
