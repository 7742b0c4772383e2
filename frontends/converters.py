"""ONNX → Relax converters that replace TVM's where those produce what later passes cannot read.

TVM's importer turns Pad, Clip, Tile and automatic padding into opaque kernels, Sum into a stack and a
reduction, and keeps shapes as run-time values; here they become Relax operators and constants, since
every shape is static.

A converter takes the block builder, the inputs (None where one is absent) and the attributes, and
returns the expression of the node's first output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from onnx import numpy_helper
from tvm import relax
from tvm.ir import GenericConst
from tvm.relax.frontend.onnx import onnx_frontend

Expr = Any
"""relax.Expr; TVM is untyped."""
Inputs = Sequence[Expr]
Attributes = Mapping[str, Any]
Converter = Callable[[Any, Inputs, Attributes], Expr]

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def constant(values: NDArray[Any]) -> Expr:
    """`values` as they are: `relax.const` by itself would narrow int64 and float64 arrays."""
    return relax.const(tvm.runtime.tensor(np.ascontiguousarray(values).reshape(values.shape)))


def static_shape(expr: Expr) -> tuple[int, ...]:
    """Raises ValueError where the shape is not static."""
    if expr.ty.shape is None:
        raise ValueError("its input's shape depends on data")
    return tuple(int(dim) for dim in expr.ty.shape)


def constant_value(expr: Expr, what: str) -> NDArray[Any]:
    """Raises ValueError where `expr` is not a constant."""
    if not isinstance(expr, GenericConst):
        raise ValueError(f"its {what} is not constant")
    return np.asarray(expr.value.numpy())


def _optional(inputs: Inputs, index: int) -> Expr | None:
    return inputs[index] if index < len(inputs) else None


def _shape(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    shape = static_shape(inputs[0])[attributes.get("start", 0) : attributes.get("end")]
    return constant(np.array(shape, np.int64))


def _size(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    return constant(np.array(prod(static_shape(inputs[0])), np.int64))


def _constant_of_shape(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    value = numpy_helper.to_array(attributes["value"]) if "value" in attributes else np.zeros(1, np.float32)
    return constant(np.full(constant_value(inputs[0], "shape"), value.reshape(()), value.dtype))


def _identity(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    return inputs[0]


def _pad(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    mode = attributes.get("mode", b"constant").decode()
    rank = len(static_shape(inputs[0]))
    before, after = np.split(constant_value(inputs[1], "padding"), 2)
    axes = _optional(inputs, 3)
    padded = range(rank) if axes is None else constant_value(axes, "list of axes").tolist()
    widths = np.zeros((rank, 2), np.int64)
    widths[list(padded)] = np.stack([before, after], axis=1)
    value = _optional(inputs, 2)
    fill = 0.0 if value is None else float(constant_value(value, "padding value").reshape(()))
    if (widths < 0).any():
        return _crop_and_pad(inputs[0], widths, mode, fill)
    return relax.op.nn.pad(inputs[0], widths.ravel().tolist(), _PAD_MODES[mode], fill)


def _crop_and_pad(data: Expr, widths: NDArray[np.int64], mode: str, fill: float) -> Expr:
    """Negative widths remove rows, which ONNX does before it pads."""
    axes = list(range(len(widths)))
    shape = np.array(static_shape(data))
    begin, end = np.maximum(-widths[:, 0], 0), shape - np.maximum(-widths[:, 1], 0)
    cropped = relax.op.strided_slice(data, axes, begin.tolist(), end.tolist())
    return relax.op.nn.pad(cropped, np.maximum(widths, 0).ravel().tolist(), _PAD_MODES[mode], fill)


def _clip(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    low, high = _optional(inputs, 1), _optional(inputs, 2)
    bounds = [bound for bound in (low, high) if bound is not None]
    # Integers have no infinity to stand in for an absent bound.
    is_float = str(inputs[0].ty.dtype).startswith("float")
    if is_float and all(isinstance(bound, GenericConst) for bound in bounds):
        limits = [
            unbounded if bound is None else float(constant_value(bound, "bound").reshape(()))
            for bound, unbounded in ((low, -np.inf), (high, np.inf))
        ]
        return relax.op.clip(inputs[0], *limits)
    result = inputs[0] if low is None else relax.op.maximum(inputs[0], low)
    return result if high is None else relax.op.minimum(result, high)


def _conv(builder: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    """Convolution, then its bias as an Add of a constant [1, O, 1, …]."""
    data, weight, bias = inputs[0], inputs[1], _optional(inputs, 2)
    kernel = static_shape(weight)[2:]
    padded = _explicit_padding(static_shape(data)[2:], kernel, {**attributes, "kernel_shape": kernel})
    convert = onnx_frontend.Conv.get_converter(11)
    result = convert(builder, onnx_frontend.onnx_input([data, weight]), padded, None)
    if bias is None:
        return result
    broadcast = (1, -1, *(1 for _ in kernel))
    if isinstance(bias, GenericConst):
        return relax.op.add(result, constant(bias.value.numpy().reshape(broadcast)))
    return relax.op.add(result, relax.op.reshape(bias, broadcast))


def _pool(converter: Any) -> Converter:
    def convert(builder: Any, inputs: Inputs, attributes: Attributes) -> Expr:
        sizes = static_shape(inputs[0])[2:]
        padded = _explicit_padding(sizes, attributes["kernel_shape"], attributes)
        return converter.get_converter(1)(builder, inputs, padded, None)

    return convert


def _explicit_padding(sizes: Sequence[int], kernel: Sequence[int], attributes: Attributes) -> dict[str, Any]:
    """`attributes` with `auto_pad` replaced by the `pads` it stands for."""
    explicit = dict(attributes)
    mode = explicit.pop("auto_pad", b"NOTSET")
    if mode == b"VALID":
        explicit["pads"] = [0] * (2 * len(sizes))
    elif mode != b"NOTSET":
        size = np.array(sizes)
        stride, dilation = np.array(explicit.get("strides", 1)), np.array(explicit.get("dilations", 1))
        covered = (-(-size // stride) - 1) * stride + (np.array(kernel) - 1) * dilation + 1
        total = np.maximum(covered - size, 0)
        smaller, larger = total // 2, total - total // 2
        before, after = (smaller, larger) if mode == b"SAME_UPPER" else (larger, smaller)
        explicit["pads"] = [*before.tolist(), *after.tolist()]
    return explicit


def _einsum(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    equation = attributes["equation"].decode().replace(" ", "")
    terms, arrow, result = equation.partition("->")
    labels = terms.split(",")
    plain = arrow and all(term.isalpha() and len(set(term)) == len(term) for term in [*labels, result])
    if plain and len(labels) == 2 and set(labels[0]) ^ set(labels[1]) <= set(result):
        return _contraction(inputs, labels, result)
    return relax.op.einsum(tuple(inputs), equation)


def _contraction(inputs: Inputs, labels: Sequence[str], result: str) -> Expr:
    """A two-operand einsum as a (batched) matrix product: sum over the labels `result` lacks."""
    left, right = labels
    sizes = {
        label: size
        for operand, term in zip(inputs, labels, strict=True)
        for label, size in zip(term, static_shape(operand), strict=True)
    }
    batch = [label for label in left if label in right and label in result]
    summed = [label for label in left if label in right and label not in result]
    rows = [label for label in left if label not in right]
    columns = [label for label in right if label not in left]

    def arrange(operand: Expr, term: str, *groups: Sequence[str]) -> Expr:
        order = [term.index(label) for group in [batch, *groups] for label in group]
        merged = [prod(sizes[label] for label in group) for group in groups]
        moved = relax.op.permute_dims(operand, order)
        return relax.op.reshape(moved, [*(sizes[label] for label in batch), *merged])

    product = relax.op.matmul(
        arrange(inputs[0], left, rows, summed), arrange(inputs[1], right, summed, columns)
    )
    computed = [*batch, *rows, *columns]
    unmerged = relax.op.reshape(product, [sizes[label] for label in computed])
    return relax.op.permute_dims(unmerged, [computed.index(label) for label in result])


def _tile(_: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    return relax.op.tile(inputs[0], constant_value(inputs[1], "repeats").tolist())


def _chain(operator: Callable[[Expr, Expr], Expr]) -> Converter:
    """A variadic operator as a chain of binary ones, which broadcast as ONNX does."""

    def convert(builder: Any, inputs: Inputs, attributes: Attributes) -> Expr:
        return reduce(lambda left, right: builder.normalize(operator(left, right)), inputs)

    return convert


def _mean(builder: Any, inputs: Inputs, attributes: Attributes) -> Expr:
    total = _chain(relax.op.add)(builder, inputs, attributes)
    return relax.op.divide(total, relax.const(float(len(inputs)), str(total.ty.dtype)))


CONVERTERS: Mapping[str, Converter] = {
    "AveragePool": _pool(onnx_frontend.AveragePool),
    "Clip": _clip,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Dropout": _identity,
    "Einsum": _einsum,
    "Identity": _identity,
    "Max": _chain(relax.op.maximum),
    "MaxPool": _pool(onnx_frontend.MaxPool),
    "Mean": _mean,
    "Min": _chain(relax.op.minimum),
    "Pad": _pad,
    "Shape": _shape,
    "Size": _size,
    "Sum": _chain(relax.op.add),
    "Tile": _tile,
}
