"""Networks over [N, H, W, C] or tokens [N, L, C] compute on planes [N, C, H, W], like all others.

Walks the graph once, in order: what a rule moves in front of a permute is in front for those that follow.
Behind it, permutes and reshapes stand only where something reads another order: between two convolutions
they are a part of the data movement that becomes an index map, or cancel.
"""

from __future__ import annotations

from ..graph import Graph
from ..uses import Uses
from .linear_to_pointwise import linear_to_pointwise
from .normalize_planes import normalize_planes
from .plane_view import PlaneViews
from .sink_permutes import sink_permutes


def channels_first(graph: Graph) -> None:
    """Apply `linear_to_pointwise`, `normalize_planes` and `sink_permutes` to every node."""
    uses, views = Uses(graph), PlaneViews(graph)
    for node in list(graph.nodes):
        if linear_to_pointwise(graph, uses, views, node) or normalize_planes(graph, uses, views, node):
            continue
        if not sink_permutes(graph, views, node):
            views.follow(node)
