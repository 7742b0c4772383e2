"""Quantization of activations, and products of integers: in ordinary operators, every rounding ONNX's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.narrow import encoded
from frontends.converters.node import Converter, Expr, Node, constant, dtype_of, static_shape
from frontends.converters.windows import convolution
from frontends.narrow_types import NARROW
from frontends.quantization import BOUNDS, parameter_shape, quantized_type, spread


def _quantize(node: Node) -> Expr:
    """saturate(round_half_even(x / scale) + zero_point)"""
    zero_point = node.optional(2)
    stated = {"output_dtype": node.attribute("output_dtype", 0)}
    node.attribute("saturate")  # of floats of 8 bits
    dtype = quantized_type(None if zero_point is None else dtype_of(zero_point), stated)
    if dtype not in BOUNDS:
        raise ValueError(f"it quantizes to {dtype}: only integers of at most 16 bits are supported")
    return relax.op.astype(_rounded(node, *BOUNDS[dtype]), dtype)


def _quantize_to_codes(node: Node) -> Expr:
    """The same, to a narrow type: integers are rounded before the zero point is added, floats behind it."""
    narrow = NARROW[node.attribute("output_dtype")]
    saturate = bool(node.attribute("saturate", 1))
    if narrow.name in BOUNDS:
        return encoded(node.builder, _rounded(node, *BOUNDS[narrow.name]), narrow, saturate)
    return encoded(node.builder, _with_zero_point(node, _quotient(node)), narrow, saturate)


def _rounded(node: Node, low: int, high: int) -> Expr:
    result = _with_zero_point(node, relax.op.round(_quotient(node)))
    return node.builder.normalize(relax.op.clip(result, float(low), float(high)))


def _quotient(node: Node) -> Expr:
    x, scale = node.inputs[0], node.inputs[1]
    node.attribute("precision")  # of the division: in the scale's type, or in float32
    return node.builder.normalize(relax.op.divide(_as(x, dtype_of(scale)), _spread(node, scale, x)))


def _with_zero_point(node: Node, quotient: Expr) -> Expr:
    zero_point = node.optional(2)
    if zero_point is not None and not _is_zero(zero_point):
        zero = _as(_spread(node, zero_point, node.inputs[0]), dtype_of(node.inputs[1]))
        quotient = relax.op.add(quotient, zero)
    return node.builder.normalize(quotient)


def _dequantize(node: Node) -> Expr:
    """(x - zero_point) * scale"""
    x, scale, zero_point = node.inputs[0], node.inputs[1], node.optional(2)
    if dtype_of(x) not in (*BOUNDS, "int32", "float32"):  # floats are numbers of a narrow type
        raise ValueError(f"it dequantizes {dtype_of(x)}: only integers of at most 32 bits are supported")
    if node.attribute("output_dtype", 0) not in (0, 1):
        raise ValueError("its result is not float32: leave out output_dtype")
    shifted = x
    if zero_point is not None and not _is_zero(zero_point):
        exact = "float32" if "float" in dtype_of(x) else "int32"
        shifted = relax.op.subtract(_as(x, exact), _as(_spread(node, zero_point, x), exact))
    shifted = _as(node.builder.normalize(shifted), dtype_of(scale))
    return relax.op.multiply(shifted, _spread(node, scale, x))


def _conv_integer(node: Node) -> Expr:
    """Sums in float64, which holds every one of them exactly."""
    x = _shifted(node, node.inputs[0], node.optional(2), "float64", 1)
    w = _shifted(node, node.inputs[1], node.optional(3), "float64", 0)
    return _as(node.builder.normalize(convolution(node, x, w)), "int32")


def _matmul_integer(node: Node) -> Expr:
    a = _shifted(node, node.inputs[0], node.optional(2), "int32", -2)
    b = _shifted(node, node.inputs[1], node.optional(3), "int32", -1)
    return relax.op.matmul(a, b)


def _shifted(node: Node, x: Expr, zero_point: Expr | None, dtype: str, axis: int) -> Expr:
    """`x` less its zero point, one for all or one for each slice along an axis."""
    if zero_point is None or _is_zero(zero_point):
        return node.builder.normalize(_as(x, dtype))
    shape, given = static_shape(x), static_shape(zero_point)
    if len(given) <= 1:
        given, _ = parameter_shape(given, shape, axis, 0)
    zero = node.builder.normalize(relax.op.reshape(zero_point, given))
    return node.builder.normalize(relax.op.subtract(_as(x, dtype), _as(zero, dtype)))


def _spread(node: Node, parameter: Expr, x: Expr) -> Expr:
    """A scale or zero point in a shape that broadcasts to that of `x`."""
    shape, axis = static_shape(x), int(node.attribute("axis", 1))
    block_size = int(node.attribute("block_size", 0) or 0)
    if isinstance(parameter, GenericConst):
        return constant(np.ascontiguousarray(spread(parameter.value.numpy(), shape, axis, block_size)))
    fitting, repeats = parameter_shape(static_shape(parameter), shape, axis, block_size)
    if repeats != 1:
        axis %= len(shape)
        if shape[axis] % repeats:
            raise ValueError("its last block is cut off and its scales are computed: make them constant")
        return node.builder.normalize(relax.op.repeat(parameter, repeats, axis))
    return node.builder.normalize(relax.op.reshape(parameter, fitting))


def _is_zero(zero_point: Expr) -> bool:
    return isinstance(zero_point, GenericConst) and not np.any(zero_point.value.numpy())


def _as(value: Expr, dtype: str) -> Expr:
    if isinstance(value, GenericConst):
        return constant(value.value.numpy().astype(dtype))
    return value if dtype_of(value) == dtype else relax.op.astype(value, dtype)


CONVERTERS: Mapping[str, Converter] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "MatMulInteger": _matmul_integer,
    "Quantize": _quantize_to_codes,
    "QuantizeLinear": _quantize,
}
