"""Functions of matrices that are no products."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant, dtype_of, static_shape
from frontends.kernels.determinant import determinant


def _det(node: Node) -> Expr:
    data = node.inputs[0]
    *outer, rows, columns = static_shape(data)
    if rows != columns:
        raise ValueError(f"matrices of {rows} by {columns} have no determinant")
    if rows == 0:
        return constant(np.ones(outer, dtype_of(data)))
    emit = node.builder.emit
    matrices = emit(relax.op.reshape(data, (prod(outer), rows, rows)))
    return relax.op.reshape(node.builder.emit_te(determinant, matrices), outer)


CONVERTERS: Mapping[str, Converter] = {"Det": _det}
