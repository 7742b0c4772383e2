"""sum(stack(x_1, …, x_n), axis=0) → x_1 + … + x_n, which fuses where a stack would be written out.

ONNX's Sum of several tensors is imported in this form.
"""

from __future__ import annotations

from tvm import relax
from tvm.ir import Expr

from ..graph import Graph, Node
from ..relax_values import shape_of
from ..uses import Uses


def split_sums(graph: Graph) -> None:
    """Replace sums over a stack of equally shaped tensors by additions, left to right."""
    uses = Uses(graph)
    for node in list(graph.nodes):
        terms = _stacked(uses, node)
        if terms is None or any(shape_of(t) != shape_of(node.var) for t in terms):
            continue
        total: Expr = terms[0]
        for term in terms[1:-1]:
            total = graph.insert_before(node, relax.op.add(total, term), node.name).var
        node.call = relax.op.add(total, terms[-1])


def _stacked(uses: Uses, node: Node) -> list[Expr] | None:
    """The tensors that a sum over a stack's new axis adds up; None for anything else."""
    if node.op != "relax.sum" or node.call.attrs.keepdims:
        return None
    stack = uses.producer(node.call.args[0])
    axes = node.call.attrs.axis
    if stack is None or stack.op != "relax.stack" or axes is None or [int(a) for a in axes] != [0]:
        return None
    terms = list(stack.args)
    return terms if int(stack.call.attrs.axis or 0) == 0 and len(terms) > 1 else None
