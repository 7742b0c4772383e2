"""f(permute(x)) → permute(f(x)), f(permute(x), permute(y)) → permute(f(x, y)) for element-wise f.

So an activation or a bias over the last axis follows the convolution that made its operand, where it is
fused. Constants are permuted at compile time. Of two operands of which one is planes under another order,
the other one is permuted: the sum with a residual in [N, H, W, C] is one of planes.
"""

from __future__ import annotations

from tvm import relax
from tvm.ir import Call, Expr, Var

from ..graph import Graph, Node
from ..relax_values import constant_of, dtype_of, shape_of
from .plane_view import PlaneView, PlaneViews, planes_of

ELEMENTWISE = frozenset(
    f"relax.{name}"
    for name in (
        "nn.relu", "nn.relu6", "nn.leakyrelu", "nn.silu", "nn.gelu", "nn.gelu_tanh", "clip", "sigmoid",
        "tanh", "exp", "log", "sqrt", "rsqrt", "abs", "negative", "erf", "add", "subtract", "multiply",
        "divide", "maximum", "minimum", "power",
    )
)  # fmt: skip


def sink_permutes(graph: Graph, views: PlaneViews, node: Node) -> bool:
    """Compute an element-wise node on the planes that its operands are views of; False if there are none."""
    if node.op not in ELEMENTWISE or dtype_of(node.var) != "float32":
        return False
    shape = shape_of(node.var)
    lead = next((v for arg in node.call.args if (v := _view_elsewhere(views, arg, shape)) is not None), None)
    if lead is None or not all(_can_follow(lead, arg, shape) for arg in node.call.args):
        return False
    arguments = [_on_planes(graph, views, node, lead, arg) for arg in node.call.args]
    call = Call(node.call.op, arguments, node.call.attrs, node.call.ty_args)
    result = lead.of(graph.insert_before(node, call, node.name).var)
    node.call = result.seen(graph, node, shape)
    views.note(node.var, result)
    return True


def _view_elsewhere(views: PlaneViews, arg: Expr, shape: tuple[int, ...]) -> PlaneView | None:
    """The view of an operand of the result's shape that is not planes itself."""
    view = views.of(arg)
    if view is None or shape_of(arg) != shape or view.planes.same_as(arg):
        return None
    return view


def _can_follow(lead: PlaneView, arg: Expr, shape: tuple[int, ...]) -> bool:
    """The operand is a number, a constant, or a tensor that can be put into the planes' order."""
    if not isinstance(arg, Var):
        return True
    # a flattened tensor is a matrix on its way to a product: its rows are no planes
    return shape_of(arg) == shape and (len(shape) > 2 or lead.last or lead.shape[2:] == (1, 1))


def _on_planes(graph: Graph, views: PlaneViews, node: Node, lead: PlaneView, arg: Expr) -> Expr:
    """The operand of the node, as one of planes like the lead's."""
    array = constant_of(arg)
    if array is not None:
        return relax.const(lead.constant(array, shape_of(node.var)), dtype_of(arg))
    if not isinstance(arg, Var):
        return arg
    view = views.of(arg)
    if view is None or not view.matches(lead):
        view = planes_of(graph, node, arg, lead.shape, lead.last)
    return view.planes
