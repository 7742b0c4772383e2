"""conv1x1[stride s](index_map(x)) → conv1x1(index_map[stride s](x)).

A strided pointwise convolution reads some pixels only. Said by the map in front of it, this is known to
whoever computes x (`prune`), and costs the kernel nothing.
Place: after commute, before prune.
"""

from __future__ import annotations

from tvm import relax
from tvm.ir import IRModule

from .apply_index_map import index_map_call, index_map_of
from .box import Box
from .canonicalize.linear import linear_of
from .graph import Graph, Node
from .index_map import IndexMap, Shape
from .piece import Piece
from .report import Report


def absorb_strides(mod: IRModule, report: Report) -> IRModule:
    """Give the strides of `main`'s pointwise convolutions to the index maps they read."""
    graph = Graph.read(mod)
    producers = graph.producers()
    for node in list(graph.nodes):
        inner = producers.get(node.variables[0]) if node.variables else None
        if inner is not None and inner.op == "index_map" and refuse(node) is None:
            _absorb(graph, node, inner, report)
    graph.remove_dead()
    return graph.write(mod)


def refuse(node: Node) -> str | None:
    """Why the operator's stride stays; None if the map in front of it can take it over."""
    linear = linear_of(node)
    if linear is None or not linear.is_conv:
        return f"{node.op} is not a convolution by a constant"
    if not linear.is_pointwise:
        return "the convolution is not pointwise"
    if linear.strides == (1, 1):
        return "the convolution has no stride"
    return None


def every(shape: Shape, strides: tuple[int, int], first: tuple[int, int] = (0, 0)) -> IndexMap:
    """The map that reads pixels `first`, `first + stride`, … of all channels, as many as there are."""
    batch, channels, *extents = shape
    rows, columns = (-(-(e - f) // s) for e, f, s in zip(extents, first, strides, strict=True))
    box = Box.whole((batch, rows, columns))
    pieces = [Piece(box, 0, c, (0, *first), (1, *strides)).normalized() for c in range(channels)]
    return IndexMap((shape,), (batch, channels, rows, columns), tuple((piece,) for piece in pieces))


def _absorb(graph: Graph, node: Node, inner: Node, report: Report) -> None:
    index_map = index_map_of(inner.call)
    linear = linear_of(node)
    assert linear is not None
    joined = every(index_map.output, linear.strides).compose([index_map])
    reads = graph.insert_before(node, index_map_call(joined, inner.args), inner.name)
    attributes = node.call.attrs
    node.call = relax.op.nn.conv2d(
        reads.var, node.call.args[1], groups=attributes.groups, out_dtype=attributes.out_dtype
    )
    record = report.index_map(inner.name)
    if record is not None and len(graph.consumers(inner.var)) == 0:
        record.variable = reads.name
