"""Split into parts of sizes that are given, or of equal ones, of which the last may be smaller."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant_value, static_shape


def _split(node: Node) -> list[Expr]:
    data, sizes = node.inputs[0], node.optional(1)
    axis = node.attribute("axis")
    if sizes is None:
        parts = node.attribute("num_outputs", node.outputs)
        largest = -(-static_shape(data)[axis] // parts)
        ends = np.arange(1, parts) * largest
    else:
        ends = np.cumsum(constant_value(sizes, "list of sizes"))[:-1]
    if not len(ends):
        return [data]
    split = node.builder.emit(relax.op.split(data, ends.tolist(), axis))
    return [relax.TupleGetItem(split, position) for position in range(len(ends) + 1)]


CONVERTERS: Mapping[str, Converter] = {"Split": _split}
