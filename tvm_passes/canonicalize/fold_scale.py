"""conv(x, W) * s → conv(x, s W);  (conv(x, W) + b) * s → conv(x, s W) + s b  for a constant s per channel.

A shift in the form of a one-hot convolution keeps its ones: only so is it recognised as data movement.
"""

from __future__ import annotations

from tvm import relax
from tvm.ir import Expr, Var

from ..graph import Graph, Node
from ..relax_values import shape_of
from ..uses import Uses
from .linear import constant_operand, linear_of


def fold_scale(graph: Graph) -> None:
    """Fold constant multiplications that follow a convolution or matrix product into its weight."""
    uses = Uses(graph)
    values: dict[Var, Expr] = {}
    for node in graph.nodes:
        scaled = _fold(uses, node, values)
        if scaled is not None:
            values[node.var] = scaled
    graph.replace_all(values)


def _fold(uses: Uses, node: Node, values: dict[Var, Expr]) -> Expr | None:
    """What computes the product once its factor is in a weight; None if none can take it.

    values: the products folded so far, by what computes them now.
    """
    product = constant_operand(node, "relax.multiply")
    if product is None or not _is_read_once(uses, product[0]):
        return None
    data, factor = product
    producer = uses.producer(values.get(data, data))
    biased = constant_operand(producer, "relax.add")
    if biased is not None:
        if not _is_read_once(uses, biased[0]):
            return None
        linear = linear_of(uses.producer(values.get(biased[0], biased[0])))
    else:
        linear = linear_of(producer)
    if linear is None or linear.is_movement:
        return None
    shape = shape_of(node.var)
    scale = linear.vector(factor, shape)
    bias = None if biased is None else linear.vector(biased[1], shape)
    if scale is None or (biased is not None and bias is None):
        return None
    linear.scale_outputs(scale)
    if producer is not None and biased is not None and bias is not None:
        producer.call = relax.op.add(biased[0], linear.per_channel(bias * scale))
    return values.get(data, data)


def _is_read_once(uses: Uses, value: Expr) -> bool:
    return isinstance(value, Var) and len(uses.consumers(value)) == 1 and not uses.is_output(value)
