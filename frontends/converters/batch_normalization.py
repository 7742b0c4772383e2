"""BatchNormalization by statistics that are given, or, in training mode, by those of the batch itself."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import relax
from tvm.relax.frontend.onnx import onnx_frontend

from frontends.converters.node import Converter, Expr, Node, constant_scalar, static_shape

TRAINING_MODE_OPSET = 14
"""Before, a node was in training mode where it had more than one output."""


def _batch_normalization(node: Node) -> Expr | list[Expr]:
    if node.attribute("training_mode", 0):
        return _of_the_batch(node)
    if node.opset < TRAINING_MODE_OPSET and node.outputs_read > 1:
        raise ValueError("training mode is not supported in operator sets before 14")
    convert = onnx_frontend.BatchNormalization.get_converter(node.opset)
    result = node.builder.normalize(convert(node.builder, node.inputs, node.attributes, None))
    return relax.TupleGetItem(node.builder.emit(result), 0)


def _of_the_batch(node: Node) -> list[Expr]:
    """The result, and the running mean and variance moved towards those of the batch."""
    data, scale, bias, old_mean, old_variance = node.inputs
    rank = len(static_shape(data))
    axes = [axis for axis in range(rank) if axis != 1]
    per_channel = [-1, *(1 for _ in range(rank - 2))]

    def emit(value: Expr) -> Expr:
        return node.builder.emit(value)

    mean = emit(relax.op.mean(data, axes, keepdims=True))
    centred = emit(data - mean)
    variance = emit(relax.op.mean(centred * centred, axes, keepdims=True))
    deviation = relax.op.sqrt(variance + constant_scalar(node.attribute("epsilon"), data))
    scale, bias = (relax.op.reshape(value, per_channel) for value in (scale, bias))
    momentum = node.attribute("momentum")

    def moved(old: Expr, new: Expr) -> Expr:
        flat = relax.op.reshape(new, [-1])
        return old * constant_scalar(momentum, old) + flat * constant_scalar(1 - momentum, old)

    result = emit(emit(centred / deviation) * scale) + bias
    return [result, moved(old_mean, mean), moved(old_variance, variance)]


CONVERTERS: Mapping[str, Converter] = {"BatchNormalization": _batch_normalization}
