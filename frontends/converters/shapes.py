"""Shapes are constants here, since every shape is static: TVM's importer keeps them as run-time values."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from onnx import helper, numpy_helper
from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant, constant_value, dtype_of, static_shape


def _shape(node: Node) -> Expr:
    shape = static_shape(node.inputs[0])[node.attribute("start", 0) : node.attribute("end")]
    return constant(np.array(shape, np.int64))


def _size(node: Node) -> Expr:
    return constant(np.array(prod(static_shape(node.inputs[0])), np.int64))


def _constant_of_shape(node: Node) -> Expr:
    stated = node.attribute("value")
    value = np.zeros(1, np.float32) if stated is None else numpy_helper.to_array(stated)
    return constant(np.full(constant_value(node.inputs[0], "shape"), value.reshape(()), value.dtype))


def _eye_like(node: Node) -> Expr:
    data = node.inputs[0]
    stated = node.attribute("dtype")
    dtype = np.dtype(dtype_of(data) if stated is None else helper.tensor_dtype_to_np_dtype(stated))
    rows, columns = static_shape(data)
    return constant(np.eye(rows, columns, node.attribute("k"), dtype))


def _identity(node: Node) -> Expr:
    return node.inputs[0]


def _tile(node: Node) -> Expr:
    return relax.op.tile(node.inputs[0], constant_value(node.inputs[1], "repeats").tolist())


CONVERTERS: Mapping[str, Converter] = {
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Identity": _identity,
    "Shape": _shape,
    "Size": _size,
    "Tile": _tile,
}
