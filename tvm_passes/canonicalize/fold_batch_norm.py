"""batch_norm(x) → x * s + b with s = γ / √(σ² + ε), b = β − μ s  (Ioffe & Szegedy, 2015; inference form).

The multiplication then folds into the weights of a convolution in front of it, see fold_scale.
"""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm.ir import TupleGetItem

from ..array import Array
from ..graph import Graph, Node
from ..relax_values import constant_of, dtype_of, shape_of
from ..uses import Uses


def fold_batch_norm(graph: Graph) -> None:
    """Rewrite every batch normalisation with constant statistics as a scale and an offset per channel."""
    uses = Uses(graph)
    for node in list(graph.nodes):
        if isinstance(node.call, TupleGetItem) and node.call.index == 0:
            norm = uses.producer(node.call.tuple_value)
            affine = None if norm is None or norm.op != "relax.nn.batch_norm" else _affine(norm)
            if norm is not None and affine is not None:
                dtype = dtype_of(norm.call.args[0])
                scale, offset = (relax.const(a, dtype) for a in affine)
                scaled = graph.insert_before(node, relax.op.multiply(norm.call.args[0], scale), node.name)
                node.call = relax.op.add(scaled.var, offset)


def _affine(norm: Node) -> tuple[Array, Array] | None:
    """Scale and offset, shaped to broadcast along the channel axis; None if a statistic is not constant."""
    statistics = [constant_of(arg) for arg in norm.call.args[1:5]]
    if any(s is None for s in statistics):
        return None
    gamma, beta, mean, variance = (np.asarray(s, np.float64) for s in statistics)
    attributes = norm.call.attrs
    if not attributes.scale:
        gamma = np.ones_like(gamma)
    if not attributes.center:
        beta = np.zeros_like(beta)
    scale = gamma / np.sqrt(variance + float(attributes.epsilon))
    rank = len(shape_of(norm.call.args[0]))
    axis = int(attributes.axis) % rank
    shape = tuple(-1 if a == axis else 1 for a in range(rank))
    return scale.reshape(shape), (beta - mean * scale).reshape(shape)
