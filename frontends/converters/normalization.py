"""Normalizations whose statistics TVM's importer leaves out or cannot lower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from frontends.converters.node import Converter, Expr, Inputs, Node, constant_scalar, dtype_of, static_shape


def _layer_normalization(node: Node) -> Expr | list[Expr]:
    """The normalized tensor by TVM's operator, which later passes know; spelled out where statistics are read
    or computed in another element type than the operand's.
    """
    if node.outputs_read > 1 or dtype_of(node.inputs[0]) in ("float16", "bfloat16"):
        return _with_statistics(node)
    convert = onnx_frontend.LayerNormalization.get_converter(17)
    result = convert(node.builder, Inputs(node.inputs), node.attributes, None)
    return result[0] if isinstance(result, relax.Tuple | list) else result


def _with_statistics(node: Node) -> list[Expr]:
    """The normalized tensor, the mean and 1 / the standard deviation, both float32."""
    emit = node.builder.emit
    data, axes = _stashed(node, node.inputs[0]), _trailing_axes(node)
    mean = emit(relax.op.mean(data, axes, keepdims=True))
    centred = emit(relax.op.subtract(data, mean))
    variance = emit(relax.op.mean(relax.op.square(centred), axes, keepdims=True))
    inverse = emit(_inverse_root(variance, node.attribute("epsilon")))
    normalized = _scaled(node, emit(relax.op.multiply(centred, inverse)), node.optional(2))
    return [normalized, mean, inverse]


def _rms_normalization(node: Node) -> Expr:
    """`x / sqrt(mean(x²) + epsilon) * scale` over the axes from `axis` on."""
    data = _stashed(node, node.inputs[0])
    squares = node.builder.emit(relax.op.mean(relax.op.square(data), _trailing_axes(node), keepdims=True))
    return _scaled(node, relax.op.multiply(data, _inverse_root(squares, node.attribute("epsilon"))), None)


def _stashed(node: Node, data: Expr) -> Expr:
    """`data` in the element type that statistics are computed in."""
    stash = onnx.helper.tensor_dtype_to_np_dtype(node.attribute("stash_type"))
    if stash != np.float32:
        raise ValueError(f"its attribute stash_type = {node.attribute('stash_type')} is not supported")
    return data if dtype_of(data) == "float32" else node.builder.emit(relax.op.astype(data, "float32"))


def _trailing_axes(node: Node) -> list[int]:
    rank = len(static_shape(node.inputs[0]))
    return list(range(rank))[node.attribute("axis") :]


def _inverse_root(squares: Expr, epsilon: float) -> Expr:
    return relax.op.rsqrt(relax.op.add(squares, constant_scalar(epsilon, squares)))


def _scaled(node: Node, normalized: Expr, bias: Expr | None) -> Expr:
    """Scale and bias in the element type of the operator's input."""
    dtype = dtype_of(node.inputs[0])
    result = normalized if dtype == "float32" else relax.op.astype(normalized, dtype)
    result = relax.op.multiply(node.builder.normalize(result), node.inputs[1])
    return result if bias is None else relax.op.add(node.builder.normalize(result), bias)


def _lp_normalization(node: Node) -> Expr:
    """`x / ‖x‖_p` along `axis`; 0 where the norm is 0, as ONNX's reference has it."""
    data, axis, order = node.inputs[0], node.attribute("axis"), node.attribute("p")
    if order == 1:
        norm: Any = relax.op.sum(relax.op.abs(data), [axis], keepdims=True)
    else:
        norm = relax.op.sqrt(relax.op.sum(relax.op.square(data), [axis], keepdims=True))
    norm = node.builder.emit(norm)
    zero, one = constant_scalar(0.0, data), constant_scalar(1.0, data)
    is_zero = node.builder.emit(relax.op.equal(norm, zero))
    return relax.op.divide(data, relax.op.where(is_zero, one, norm))


CONVERTERS: Mapping[str, Converter] = {
    "LayerNormalization": _layer_normalization,
    "LpNormalization": _lp_normalization,
    "RMSNormalization": _rms_normalization,
}
