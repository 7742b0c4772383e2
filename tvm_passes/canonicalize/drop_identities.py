"""f(x) → x where f changes neither shape nor values."""

from __future__ import annotations

from tvm.ir import Expr, TupleGetItem, Var

from ..graph import Graph, Node
from ..relax_values import constant_of, dtype_of, shape_of
from ..uses import Uses

_SHAPES = (
    "relax.broadcast_to",
    "relax.reshape",
    "relax.squeeze",
    "relax.expand_dims",
    "relax.flatten",
    "relax.astype",
)


def drop_identities(graph: Graph) -> None:
    """Remove reshapes to the same shape, permutes to the same order, casts to the same type, inference
    dropout, x * 1, x + 0.
    """
    uses = Uses(graph)
    values: dict[Var, Expr] = {}
    for node in graph.nodes:
        kept = _unchanged(uses, node)
        if kept is not None:
            values[node.var] = values.get(kept, kept)
    graph.replace_all(values)


def _unchanged(uses: Uses, node: Node) -> Expr | None:
    if isinstance(node.call, TupleGetItem):
        whole = uses.producer(node.call.tuple_value)
        if whole is not None and whole.op == "relax.nn.dropout" and node.call.index == 0:
            return whole.call.args[0]
        return None
    if node.op in _SHAPES:
        source = node.call.args[0]
        same = shape_of(source) == shape_of(node.var) and dtype_of(source) == dtype_of(node.var)
        return source if same else None
    if node.op == "relax.permute_dims":
        axes = node.call.attrs.axes
        in_order = axes is not None and [int(a) for a in axes] == list(range(len(axes)))
        return node.call.args[0] if in_order else None
    neutral = {"relax.multiply": 1.0, "relax.add": 0.0}.get(node.op)
    if neutral is None:
        return None
    for source, other in (node.call.args, reversed(node.call.args)):
        same = shape_of(source) == shape_of(node.var) and dtype_of(source) == dtype_of(node.var)
        constant = constant_of(other)
        if same and constant is not None and (constant == neutral).all():
            return source
    return None
