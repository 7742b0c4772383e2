"""Pools: of windows and of whole planes, over any number of axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant, dtype_of, static_shape
from frontends.converters.weighted_sums import summed
from frontends.pooling import Windows, windows

_LARGEST_WINDOW_COUNT = 1 << 24
"""Elements of all windows of a plane, up to which the place of their maximum is looked for."""


def _windows(node: Node) -> list[Windows]:
    return windows(
        static_shape(node.inputs[0])[2:],
        node.attribute("kernel_shape", []),
        node.attribute("strides"),
        node.attribute("dilations"),
        node.attribute("pads"),
        node.attribute("auto_pad", "NOTSET"),
        bool(node.attribute("ceil_mode", 0)),
    )


def _max_pool(node: Node) -> Expr | list[Expr]:
    """A pool of Relax's whose padding lets as many windows fit as there are."""
    data, axes = node.inputs[0], _windows(node)
    column_major = bool(node.attribute("storage_order", 0))
    if node.outputs_read > 1:
        return _max_with_indices(node, data, axes, column_major)
    pools = {1: relax.op.nn.max_pool1d, 2: relax.op.nn.max_pool2d, 3: relax.op.nn.max_pool3d}
    return _pool(pools, data, axes)


def _pool(pools: Mapping[int, Callable[..., Expr]], data: Expr, axes: Sequence[Windows], **more: Any) -> Expr:
    if len(axes) not in pools:
        raise ValueError(f"its windows have {len(axes)} axes: 1, 2 or 3 are supported")
    return pools[len(axes)](
        data,
        pool_size=[axis.kernel for axis in axes],
        strides=[axis.stride for axis in axes],
        padding=[axis.before for axis in axes] + [axis.needed_after for axis in axes],
        dilation=[axis.dilation for axis in axes],
        **more,
    )


def _max_with_indices(node: Node, data: Expr, axes: Sequence[Windows], column_major: bool) -> list[Expr]:
    """The maxima, and where in the whole input the first of each lies: windows are written out one by one."""
    shape, outputs = static_shape(data), [axis.outputs for axis in axes]
    plane = prod(shape[2:])
    read = _elements(axes, shape[2:], column_major=False)
    if read.size > _LARGEST_WINDOW_COUNT:
        raise ValueError("its windows are too many to look for the places of their maxima")
    emit = node.builder.emit
    flat = emit(relax.op.reshape(data, (*shape[:2], plane)))
    elements = emit(relax.op.take(flat, constant(read.reshape(-1)), 2, "clip"))
    elements = emit(relax.op.reshape(elements, (*shape[:2], *read.shape)))
    which = emit(relax.op.argmax(elements, 3))
    which = which if dtype_of(which) == "int64" else emit(relax.op.astype(which, "int64"))
    places = _elements(axes, shape[2:], column_major)
    first = np.arange(len(places), dtype=np.int64) * places.shape[1]
    chosen = emit(
        relax.op.take(constant(places.reshape(-1)), emit(relax.op.add(which, constant(first))), 0, "clip")
    )
    planes = np.arange(prod(shape[:2]), dtype=np.int64).reshape(*shape[:2], 1) * plane
    indices = emit(relax.op.add(chosen, constant(planes)))
    maxima = emit(relax.op.max(elements, 3))
    return [relax.op.reshape(found, (*shape[:2], *outputs)) for found in (maxima, indices)]


def _elements(axes: Sequence[Windows], sizes: Sequence[int], column_major: bool) -> np.ndarray[Any, Any]:
    """The elements of every window by their places in a plane: int64 [windows, taps], both row by row."""
    order = range(len(sizes)) if column_major else reversed(range(len(sizes)))
    steps, step = [0] * len(sizes), 1
    for axis in order:
        steps[axis], step = step, step * sizes[axis]
    count = len(axes)
    places = np.zeros((1,) * (2 * count), np.int64)
    for axis, chosen in enumerate(axes):
        table = np.array(chosen.choices(), np.int64) * steps[axis]
        extents = [1] * (2 * count)
        extents[axis], extents[count + axis] = table.shape
        places = places + table.reshape(extents)
    return places.reshape(prod(places.shape[:count]), -1)


def _average_pool(node: Node) -> Expr:
    """A pool of Relax's where its divisors are ONNX's, else weighted sums."""
    data, axes = node.inputs[0], _windows(node)
    include = bool(node.attribute("count_include_pad", 0))
    is_plain = all(axis.dilation == 1 and axis.have_elements for axis in axes)
    beyond = include and any(axis.needed_after > axis.after for axis in axes)
    if len(axes) == 2 and dtype_of(data) == "float32" and is_plain and not beyond:
        return _pool({2: relax.op.nn.avg_pool2d}, data, axes, count_include_pad=include)
    return _in_float32(node, data, lambda x: _summed(node, x, [axis.averages(include) for axis in axes]))


def _lp_pool(node: Node) -> Expr:
    axes, power = _windows(node), float(node.attribute("p", 2))
    return _norms(node, power, lambda x: _summed(node, x, [axis.sums() for axis in axes]))


def _global_lp_pool(node: Node) -> Expr:
    return _norms(node, float(node.attribute("p", 2)), lambda x: _over_planes(relax.op.sum, x))


def _global_average_pool(node: Node) -> Expr:
    return _in_float32(node, node.inputs[0], lambda x: _over_planes(relax.op.mean, x))


def _global_max_pool(node: Node) -> Expr:
    return _over_planes(relax.op.max, node.inputs[0])


def _over_planes(reduce: Callable[..., Expr], data: Expr) -> Expr:
    return reduce(data, axis=list(range(2, len(static_shape(data)))), keepdims=True)


def _norms(node: Node, power: float, sums: Callable[[Expr], Expr]) -> Expr:
    """(sum |x|^p)^(1 / p)."""

    def compute(x: Expr) -> Expr:
        emit, dtype = node.builder.emit, dtype_of(x)
        if power == 2:
            return relax.op.sqrt(emit(sums(emit(relax.op.multiply(x, x)))))
        size = emit(relax.op.abs(x))
        if power == 1:
            return sums(size)
        raised = emit(relax.op.power(size, constant(np.asarray(power).astype(dtype))))
        return relax.op.power(emit(sums(raised)), constant(np.asarray(1 / power).astype(dtype)))

    return _in_float32(node, node.inputs[0], compute)


def _summed(node: Node, data: Expr, taps: Sequence[Any]) -> Expr:
    return summed(node, data, dict(enumerate(taps, 2)))


def _in_float32(node: Node, data: Expr, compute: Callable[[Expr], Expr]) -> Expr:
    """What is computed of float16 and bfloat16 numbers as float32, of others as it is."""
    dtype = dtype_of(data)
    if dtype in ("float32", "float64"):
        return compute(data)
    wide = node.builder.emit(relax.op.astype(data, "float32"))
    return relax.op.astype(node.builder.emit(compute(wide)), dtype)


CONVERTERS: Mapping[str, Converter] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalLpPool": _global_lp_pool,
    "GlobalMaxPool": _global_max_pool,
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
}
