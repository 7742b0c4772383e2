"""Imported modules evaluated in numpy, so that whole families of operators are tried in milliseconds each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import relax

from tvm_passes.graph import Graph
from tvm_passes.relax_values import constant_of, dtype_of, shape_of

Array = np.ndarray[Any, Any]


def evaluate(mod: tvm.IRModule, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of `main`; results have the types that Relax says. KeyError for other operators."""
    graph = Graph.read(mod)
    values: dict[Any, Any] = dict(zip(graph.params, inputs, strict=True))

    def value_of(expr: Any) -> Any:
        constant = constant_of(expr)
        return values[expr] if constant is None and expr in values else constant

    for node in graph.nodes:
        result = _OPERATORS[node.op](node.call, [value_of(arg) for arg in node.call.args])
        assert result.shape == shape_of(node.var), node.op
        values[node.var] = result.astype(dtype_of(node.var))
    return [value_of(output) for output in graph.outputs]


def _numbers(expr: Any) -> list[int]:
    fields = expr.values if isinstance(expr, relax.ShapeExpr) else expr.fields
    return [int(getattr(field, "value", field)) for field in fields]


def _window_sum(call: Any, values: list[Any]) -> Array:
    x, tables = values[0], values[2:]
    for axis, index, weight in zip(_numbers(call.args[1]), tables[0::2], tables[1::2], strict=True):
        terms = np.moveaxis(x, axis, -1)[..., index] * weight
        x = np.moveaxis(terms.sum(-1), -1, axis)
    return np.asarray(x)


def _strided_slice(call: Any, values: list[Any]) -> Array:
    slices = [slice(None)] * values[0].ndim
    for axis, begin, end, step in zip(*map(_numbers, call.args[1:5]), strict=True):
        slices[axis] = slice(begin, end, step)
    return np.asarray(values[0][tuple(slices)])


def _pool(call: Any, x: Array, average: bool) -> Array:
    attributes, axes = call.attrs, x.ndim - 2
    kernel, strides, dilation, pads = (
        [int(number) for number in numbers]
        for numbers in (attributes.pool_size, attributes.strides, attributes.dilation, attributes.padding)
    )
    outputs = [
        (x.shape[2 + i] + pads[i] + pads[axes + i] - (kernel[i] - 1) * dilation[i] - 1) // strides[i] + 1
        for i in range(axes)
    ]

    def taps(values: Array, fill: float) -> Array:
        padded = np.pad(
            values,
            [(0, 0), (0, 0), *((pads[i], pads[axes + i]) for i in range(axes))],
            constant_values=np.asarray(fill).astype(values.dtype),
        )
        return np.stack(
            [
                padded[
                    (..., *(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(
                        tap, dilation, outputs, strides, strict=True)))
                ]
                for tap in np.ndindex(*kernel)
            ]
        )  # fmt: skip

    if not average:
        return np.asarray(taps(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min).max(0))
    counted = taps(np.ones_like(x), float(attributes.count_include_pad))
    return np.asarray(taps(x, 0).sum(0) / counted.sum(0))


def _padded(call: Any, values: list[Any]) -> Array:
    widths = [int(width) for width in call.attrs.pad_width]
    return np.pad(values[0], list(zip(widths[0::2], widths[1::2], strict=True)))


def _axes(call: Any) -> tuple[int, ...]:
    return tuple(int(axis) for axis in call.attrs.axis)


def _reduced(reduce: Callable[..., Any]) -> Callable[[Any, list[Any]], Any]:
    return lambda call, v: reduce(v[0], axis=_axes(call), keepdims=bool(call.attrs.keepdims))


_OPERATORS: dict[str, Callable[[Any, list[Any]], Any]] = {
    "shiftc.window_sum": _window_sum,
    "relax.strided_slice": _strided_slice,
    "relax.take": lambda call, v: np.take(v[0], v[1], int(call.attrs.axis)),
    "relax.permute_dims": lambda call, v: np.transpose(v[0], [int(axis) for axis in call.attrs.axes]),
    "relax.reshape": lambda call, v: v[0].reshape(_numbers(call.args[1])),
    "relax.where": lambda call, v: np.where(*v),
    "relax.astype": lambda call, v: v[0],
    "relax.clip": lambda call, v: np.clip(v[0], *(float(bound.value) for bound in call.args[1:])),
    "relax.round": lambda call, v: np.round(v[0]),
    "relax.sign": lambda call, v: np.sign(v[0]),
    "relax.add": lambda call, v: v[0] + v[1],
    "relax.multiply": lambda call, v: v[0] * v[1],
    "relax.negative": lambda call, v: -v[0],
    "relax.abs": lambda call, v: np.abs(v[0]),
    "relax.sqrt": lambda call, v: np.sqrt(v[0]),
    "relax.power": lambda call, v: v[0] ** v[1],
    "relax.argmax": lambda call, v: np.argmax(v[0], int(call.attrs.axis)),
    "relax.max": _reduced(np.max),
    "relax.mean": _reduced(np.mean),
    "relax.sum": _reduced(np.sum),
    **{f"relax.nn.max_pool{n}d": lambda call, v: _pool(call, v[0], average=False) for n in (1, 2, 3)},
    "relax.nn.pad": _padded,
    "relax.nn.avg_pool2d": lambda call, v: _pool(call, v[0], average=True),
}
