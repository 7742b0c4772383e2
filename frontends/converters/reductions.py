"""Reductions over any axes, and the positions of extremes. Sums of 16-bit numbers are made in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
from tvm import relax

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

_SHORT_FLOATS = ("float16", "bfloat16")

Reduce = Callable[[Expr, Sequence[int], bool], Expr]


@attrs.frozen
class _Reduction:
    """reduce:   the reduction itself, of numbers `computed_in` some type.
    identity: what it makes of no elements; None: an error.
    finish:   of the reduced numbers.
    computed_in: the type to reduce numbers of a type in.
    """

    reduce: Reduce
    identity: Callable[[str], float] | None = lambda dtype: 0.0
    prepare: Callable[[Expr], Expr] = lambda data: data
    finish: Callable[[Expr], Expr] = lambda reduced: reduced
    computed_in: Callable[[str], str] = lambda dtype: "float32" if dtype in _SHORT_FLOATS else dtype


def _floating(dtype: str) -> str:
    """Where square roots and logarithms of integers are taken."""
    if dtype in ("float32", *_SHORT_FLOATS):
        return "float32"
    return "float64"


def _ordered(dtype: str) -> str:
    return "uint8" if dtype == "bool" else dtype


def _lowest(dtype: str) -> float:
    if dtype == "bool":
        return 0
    return -np.inf if "float" in dtype else int(np.iinfo(dtype).min)


def _highest(dtype: str) -> float:
    if dtype == "bool":
        return 1
    return np.inf if "float" in dtype else int(np.iinfo(dtype).max)


def _square(data: Expr) -> Expr:
    return relax.op.multiply(data, data)


def _mean(data: Expr, axes: Sequence[int], keepdims: bool) -> Expr:
    if "float" in dtype_of(data):
        return relax.op.mean(data, list(axes), keepdims)
    count = np.prod([static_shape(data)[axis] for axis in axes], dtype=np.int64)
    total = relax.op.sum(data, list(axes), keepdims)
    return relax.op.divide(total, constant(np.array(count, dtype_of(data))))


def _log_sum_exp(data: Expr, axes: Sequence[int], keepdims: bool) -> Expr:
    """Less the largest element, unless it is infinite, so that no exponential overflows."""
    largest = relax.op.max(data, list(axes), True)
    zero = relax.const(0.0, dtype_of(data))
    shift = relax.op.where(relax.op.isfinite(largest), largest, zero)
    total = relax.op.log(relax.op.sum(relax.op.exp(relax.op.subtract(data, shift)), list(axes), True))
    result = relax.op.add(total, shift)
    return result if keepdims else relax.op.squeeze(result, list(axes))


_REDUCTIONS: Mapping[str, _Reduction] = {
    "ReduceL1": _Reduction(relax.op.sum, prepare=relax.op.abs),
    "ReduceL2": _Reduction(relax.op.sum, prepare=_square, finish=relax.op.sqrt, computed_in=_floating),
    "ReduceLogSum": _Reduction(
        relax.op.sum, lambda dtype: -np.inf, finish=relax.op.log, computed_in=_floating
    ),
    "ReduceLogSumExp": _Reduction(_log_sum_exp, lambda dtype: -np.inf, computed_in=_floating),
    "ReduceMax": _Reduction(relax.op.max, _lowest, computed_in=_ordered),
    "ReduceMean": _Reduction(_mean, lambda dtype: np.nan),
    "ReduceMin": _Reduction(relax.op.min, _highest, computed_in=_ordered),
    "ReduceProd": _Reduction(relax.op.prod, lambda dtype: 1.0),
    "ReduceSum": _Reduction(relax.op.sum),
    "ReduceSumSquare": _Reduction(relax.op.sum, prepare=_square),
}


def _reduce(node: Node) -> Expr:
    rule, data = _REDUCTIONS[node.operator], node.inputs[0]
    dtype, shape = dtype_of(data), static_shape(data)
    axes = _axes(node, len(shape))
    keepdims = bool(node.attribute("keepdims"))
    if any(shape[axis] == 0 for axis in axes):
        left = [
            1 if axis in axes else size for axis, size in enumerate(shape) if keepdims or axis not in axes
        ]
        if rule.identity is None or (rule.identity(dtype) != rule.identity(dtype) and "float" not in dtype):
            raise ValueError("it reduces no elements at all")
        return constant(np.full(left, rule.identity(dtype)).astype(dtype))
    inner = rule.computed_in(dtype)
    reduced = rule.prepare(data if inner == dtype else relax.op.astype(data, inner))
    if axes:
        whole = len(axes) == len(shape)  # kernels want an axis that is left
        reduced = rule.reduce(node.builder.normalize(reduced), axes, keepdims or whole)
        reduced = relax.op.reshape(reduced, []) if whole and not keepdims else reduced
    result = rule.finish(reduced)
    return result if inner == dtype else relax.op.astype(result, dtype)


def _axes(node: Node, rank: int) -> list[int]:
    """The axes to reduce, counted from the front: an attribute once, an input later."""
    stated = node.attribute("axes")
    given = node.optional(1)
    if given is not None:
        stated = constant_value(given, "list of axes").reshape(-1).tolist()
    if not stated:
        return [] if node.attribute("noop_with_empty_axes", 0) else list(range(rank))
    return sorted({axis_of(int(axis), node.inputs[0]) for axis in stated})


def _extreme(operator: Callable[..., Expr]) -> Converter:
    def convert(node: Node) -> Expr:
        data = node.inputs[0]
        axis, keepdims = axis_of(node.attribute("axis"), data), bool(node.attribute("keepdims"))
        size = static_shape(data)[axis]
        if dtype_of(data) in _SHORT_FLOATS:
            data = relax.op.astype(data, "float32")
        if not node.attribute("select_last_index", 0):
            return relax.op.astype(operator(data, axis, keepdims), "int64")
        found = relax.op.astype(operator(relax.op.flip(data, axis), axis, keepdims), "int64")
        return relax.op.subtract(constant(np.array(size - 1, np.int64)), found)

    return convert


CONVERTERS: Mapping[str, Converter] = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "ArgMax": _extreme(relax.op.argmax),
    "ArgMin": _extreme(relax.op.argmin),
}
