"""SpaceToDepth as a rearrangement, in both orders of the new channels."""

from __future__ import annotations

from collections.abc import Mapping

from tvm import relax

from frontends.converters.node import Converter, Expr, Node, static_shape

_ORDERS = {"DCR": [0, 3, 5, 1, 2, 4], "CRD": [0, 1, 3, 5, 2, 4]}
"""Axes [n, channel, row, row in block, column, column in block] in the order of the result."""


def _space_to_depth(node: Node) -> Expr:
    data, block = node.inputs[0], node.attribute("blocksize")
    n, channels, rows, columns = static_shape(data)
    blocks = [n, channels, rows // block, block, columns // block, block]
    order = _ORDERS[node.attribute("mode", "DCR")]
    moved = relax.op.permute_dims(relax.op.reshape(data, blocks), order)
    return relax.op.reshape(moved, [n, channels * block * block, rows // block, columns // block])


CONVERTERS: Mapping[str, Converter] = {"SpaceToDepth": _space_to_depth}
