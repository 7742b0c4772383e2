"""norm(x) → view(norm(planes of x) * scale + offset), with statistics over the channels or over the plane.

    over the channels of a pixel:           layer_norm(x, axes=[1]), softmax(x, axis=1)
    over the plane and a group of channels: group_norm(x, groups, axes=[2, 3]), instances in groups of one

for x: [N, C, H, W] (or [N, C], over its channels). Which of the two it is shows in the elements that are
normalized together, however the tensor's shape and order present them: layer normalization over the last
axis of [N, H, W, C] or of tokens [N, L, C], group normalization as instances of [N, G, C / G * H * W].
Scale and offset become operators of their own: the scale folds into the weights of what follows, or both
join the stage's epilogue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from tvm import relax
from tvm.ir import Expr

from ..array import Array
from ..graph import Graph, Node
from ..relax_values import dtype_of, shape_of
from ..uses import Uses
from .normalization import Normalization, normalization_of
from .plane_view import TO_FIRST, PlaneView, PlaneViews, planes_of

Scope = Literal["channels"] | int
"""The channels of a pixel, or the plane and as many groups of channels."""


def normalize_planes(graph: Graph, uses: Uses, views: PlaneViews, node: Node) -> bool:
    """Rewrite a normalization of planes or matrices [N, C]; False for others and for all other nodes."""
    normalization = normalization_of(uses, node)
    if isinstance(normalization, str) or dtype_of(node.var) != "float32":
        return False
    shape = shape_of(node.var)
    if len(shape) == 2 and views.of(normalization.data) is None:
        if normalization.axes != (1,) or normalization.groups != 1:
            return False
        node.call = _chain(graph, node, normalization, normalization.data, "channels", lambda array: array)
        return True
    found = _on_planes(graph, views, node, normalization)
    if found is None:
        return False
    view, scope = found
    call = _chain(graph, node, normalization, view.planes, scope, lambda a: view.constant(a, shape))
    if view.planes.same_as(normalization.data):
        node.call = call
        return True
    result = view.of(graph.insert_before(node, call, node.name).var)
    node.call = result.seen(graph, node, shape)
    views.note(node.var, result)
    return True


def _on_planes(
    graph: Graph, views: PlaneViews, node: Node, normalization: Normalization
) -> tuple[PlaneView, Scope] | None:
    """The data as planes, and over what of them it is normalized; None where that has no kernel."""
    data, shape = normalization.data, shape_of(node.var)
    view = views.of(data)
    if view is not None:
        scope = _scope(view, normalization.labels())
        if scope == "channels" or (scope is not None and normalization.kind == "standard"):
            return view, scope
    if len(shape) not in (3, 4) or normalization.axes != (len(shape) - 1,) or normalization.kind == "softmax":
        return None  # a softmax of something else than channels is that of an attention, between products
    rows, columns = shape[1:3] if len(shape) == 4 else views.size_of_tokens(*shape[:2])
    view = planes_of(graph, node, data, (shape[0], shape[-1], rows, columns), last=True)
    views.note(data, view)  # whoever reads the data beside, a residual say, reads the same planes
    return view, "channels"


def _scope(view: PlaneView, labels: Array) -> Scope | None:
    """Over what of its planes a tensor of these labels is normalized; None for anything else."""
    n, c, h, w = view.shape
    planes = labels.reshape(n, h, w, c).transpose(TO_FIRST) if view.last else labels.reshape(n, c, h, w)
    sets = len(np.unique(labels))
    if sets == n * h * w and (planes == planes[:, :1]).all():
        return "channels"
    groups, rest = divmod(sets, n)
    if rest or c % groups:
        return None
    grouped = planes.reshape(n, groups, -1)
    return groups if (grouped == grouped[:, :, :1]).all() else None


def _chain(
    graph: Graph,
    node: Node,
    normalization: Normalization,
    planes: Expr,
    scope: Scope,
    arrange: Callable[[Array], Array],
) -> Expr:
    """norm(planes) * scale + offset; all but the last operator are put in front of the node."""
    call = _normalized(normalization, planes, scope)
    for operator, constant in (
        (relax.op.multiply, normalization.scale),
        (relax.op.add, normalization.offset),
    ):
        if constant is not None:
            value = graph.insert_before(node, call, node.name).var
            call = operator(value, relax.const(arrange(constant), "float32"))
    return call


def _normalized(normalization: Normalization, planes: Expr, scope: Scope) -> Expr:
    channels, epsilon = shape_of(planes)[1], normalization.epsilon
    ones, zeros = (relax.const(np.full(channels, value, np.float32)) for value in (1, 0))
    if normalization.kind == "softmax":
        return relax.op.nn.softmax(planes, axis=1)
    if scope == "channels":
        return relax.op.nn.layer_norm(planes, ones, zeros, [1], epsilon)
    return relax.op.nn.group_norm(planes, ones, zeros, scope, 1, [2, 3], epsilon)
