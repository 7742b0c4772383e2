"""Element-wise functions that TVM's importer converts for one type only, or in a way that changes the result.

Numbers of 16 bits are computed in float32, as functions of several steps would round after each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import (
    Converter,
    Expr,
    Node,
    constant,
    constant_value,
    dtype_of,
    static_shape,
)
from frontends.kernels import pointwise

_SHORT_FLOATS = ("float16", "bfloat16")


def _number(value: float, like: Expr) -> Expr:
    return relax.const(value, dtype_of(like))


def _in_float32(function: Callable[[Node, Expr], Expr]) -> Converter:
    """`function` of the first input, computed in float32 where that has fewer bits."""

    def convert(node: Node) -> Expr:
        data = node.inputs[0]
        dtype = dtype_of(data)
        if dtype not in _SHORT_FLOATS:
            return function(node, data)
        wide = node.builder.normalize(relax.op.astype(data, "float32"))
        return relax.op.astype(function(node, wide), dtype)

    return convert


def _exp_minus_one(data: Expr) -> Expr:
    return relax.op.subtract(relax.op.exp(data), _number(1.0, data))


def _elu(node: Node, data: Expr) -> Expr:
    below = relax.op.multiply(_number(node.attribute("alpha"), data), _exp_minus_one(data))
    return relax.op.where(relax.op.greater(data, _number(0.0, data)), data, below)


def _selu(node: Node, data: Expr) -> Expr:
    alpha, gamma = node.attribute("alpha"), node.attribute("gamma")
    above = relax.op.multiply(_number(gamma, data), data)
    below = relax.op.multiply(_number(gamma * alpha, data), _exp_minus_one(data))
    return relax.op.where(relax.op.greater(data, _number(0.0, data)), above, below)


def _softplus_of(data: Expr) -> Expr:
    """Without exponentials of large numbers, which would overflow."""
    positive = relax.op.maximum(data, _number(0.0, data))
    rest = relax.op.exp(relax.op.negative(relax.op.abs(data)))
    return relax.op.add(positive, relax.op.log(relax.op.add(rest, _number(1.0, data))))


def _softplus(node: Node, data: Expr) -> Expr:
    return _softplus_of(data)


def _mish(node: Node, data: Expr) -> Expr:
    return relax.op.multiply(data, relax.op.tanh(_softplus_of(data)))


def _thresholded_relu(node: Node, data: Expr) -> Expr:
    above = relax.op.greater(data, _number(node.attribute("alpha"), data))
    return relax.op.where(above, data, _number(0.0, data))


def _shrink(node: Node) -> Expr:
    data, lambd, bias = node.inputs[0], node.attribute("lambd"), node.attribute("bias")
    return node.builder.emit_te(pointwise.shrink, data, lambd, bias)


def _sign(node: Node) -> Expr:
    return node.builder.emit_te(pointwise.sign, node.inputs[0])


def _is_nan(node: Node) -> Expr:
    data = node.inputs[0]
    return relax.op.isnan(relax.op.astype(data, "float32") if dtype_of(data) == "bfloat16" else data)


def _pow(node: Node) -> Expr:
    """The base's type is the result's; whole exponents of integers by repeated squares."""
    base, exponent = node.inputs
    dtype, other = dtype_of(base), dtype_of(exponent)
    if dtype == other and "float" in dtype:
        return relax.op.power(base, exponent)
    if "int" in dtype and "int" in other:
        return node.builder.emit_te(pointwise.integer_power, base, exponent)
    wide = "float64" if "int" in dtype or "float64" in (dtype, other) else "float32"
    result = relax.op.power(relax.op.astype(base, wide), relax.op.astype(exponent, wide))
    return relax.op.astype(result, dtype)


def _mod(node: Node) -> Expr:
    left, right = node.inputs
    return node.builder.emit_te(pointwise.remainder, left, right, bool(node.attribute("fmod")))


def _prelu(node: Node) -> Expr:
    """With a slope for each channel, or one for all, an operator that passes know."""
    data, slope = node.inputs
    shape = static_shape(data)
    if isinstance(slope, GenericConst) and dtype_of(data) == "float32" and len(shape) > 1:
        values = constant_value(slope, "slope")
        along = (1,) * (len(shape) - values.ndim) + values.shape
        if values.size == along[1] and along[1] in (1, shape[1]):
            return relax.op.nn.prelu(data, constant(np.broadcast_to(values.reshape(-1), shape[1:2])), 1)
    below = relax.op.less(data, _number(0, data))
    return relax.op.where(below, relax.op.multiply(data, slope), data)


def _div(node: Node) -> Expr:
    left, right = node.inputs
    if "float" in dtype_of(left):
        return relax.op.divide(left, right)
    return node.builder.emit_te(pointwise.quotient, left, right)


def _bit_shift(node: Node) -> Expr:
    left, right = node.inputs
    return node.builder.emit_te(pointwise.shift, left, right, node.attribute("direction") == "LEFT")


CONVERTERS: Mapping[str, Converter] = {
    "BitShift": _bit_shift,
    "Div": _div,
    "Elu": _in_float32(_elu),
    "IsNaN": _is_nan,
    "Mish": _in_float32(_mish),
    "Mod": _mod,
    "PRelu": _prelu,
    "Pow": _pow,
    "Selu": _in_float32(_selu),
    "Shrink": _shrink,
    "Sign": _sign,
    "Softplus": _in_float32(_softplus),
    "ThresholdedRelu": _in_float32(_thresholded_relu),
}
