"""Quantization of activations, and products of integers: in ordinary operators, every rounding ONNX's own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import Converter, Expr, Node, constant, dtype_of, static_shape
from frontends.converters.windows import convolution
from frontends.quantization import BOUNDS, parameter_shape, quantized_type, spread

_STORED_AS = {"int2": "int8", "int4": "int8", "uint2": "uint8", "uint4": "uint8"}
"""Types that no program computes with, and those that hold their numbers."""


def _quantize(node: Node) -> Expr:
    """saturate(round_half_even(x / scale) + zero_point)"""
    x, scale, zero_point = node.inputs[0], node.inputs[1], node.optional(2)
    stated = {"output_dtype": node.attribute("output_dtype", 0)}
    node.attribute("saturate"), node.attribute("precision")  # of floats of 8 bits; of a division in float32
    dtype = quantized_type(None if zero_point is None else dtype_of(zero_point), stated)
    if dtype not in BOUNDS:
        raise ValueError(f"it quantizes to {dtype}: only integers of at most 16 bits are supported")
    low, high = BOUNDS[dtype]
    computed = dtype_of(scale)
    quotient = relax.op.divide(_as(x, computed), _spread(node, scale, x))
    result = relax.op.round(node.builder.normalize(quotient))
    if zero_point is not None and not _is_zero(zero_point):
        result = relax.op.add(result, _as(_spread(node, zero_point, x), computed))
    result = relax.op.clip(node.builder.normalize(result), float(low), float(high))
    return relax.op.astype(node.builder.normalize(result), _STORED_AS.get(dtype, dtype))


def _dequantize(node: Node) -> Expr:
    """(x - zero_point) * scale"""
    x, scale, zero_point = node.inputs[0], node.inputs[1], node.optional(2)
    if dtype_of(x) not in (*BOUNDS, "int32"):
        raise ValueError(f"it dequantizes {dtype_of(x)}: only integers of at most 32 bits are supported")
    if node.attribute("output_dtype", 0) not in (0, 1):
        raise ValueError("its result is not float32: leave out output_dtype")
    shifted = x
    if zero_point is not None and not _is_zero(zero_point):
        shifted = relax.op.subtract(_as(x, "int32"), _as(_spread(node, zero_point, x), "int32"))
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
    "QuantizeLinear": _quantize,
}
