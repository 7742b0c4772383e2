"""f(index_map(x)) → index_map(f(x)), for element-wise f of one value with f(0) = 0 or a map without zeros.

An activation behind a shift, a concat or a shuffle moves in front of it, where it joins the epilogue of
whoever computes x; the map then stands directly before the stage that can fold it. Only where every
source is read by this map alone: otherwise f would be computed in addition.
Place: after recognize, before fuse.
"""

from __future__ import annotations

from tvm.ir import Call, IRModule, Var

from .apply_index_map import index_map_call, index_map_of
from .epilogue import vanishes_at_zero
from .graph import Graph, Node
from .index_map import IndexMap, plane
from .relax_values import shape_of
from .uses import Uses


def commute(mod: IRModule) -> IRModule:
    """Move unary element-wise operators of `main` in front of index maps, to a fixed point."""
    graph = Graph.read(mod)
    while _commute_one(graph):
        pass
    graph.remove_dead()
    return graph.write(mod)


def _commute_one(graph: Graph) -> bool:
    uses = Uses(graph)
    for node in graph.nodes:
        if node.op == "index_map" and refuse(uses, node) is None:
            _swap(graph, node, uses.consumers(node.var)[0])
            return True
    return False


def refuse(uses: Uses, node: Node) -> str | None:
    """Why the operator behind an index map stays there; None if it can go in front."""
    consumers = uses.consumers(node.var)
    if len(consumers) != 1 or uses.is_output(node.var):
        return "the map has several readers"
    function = consumers[0]
    at_zero = vanishes_at_zero(function)
    if at_zero is None:
        return f"{function.op} is not an element-wise function of one value"
    if not at_zero and _has_zeros(index_map_of(node.call)):
        return f"{function.op} is not zero at zero, and the map has a zero border"
    for source in node.variables:
        if uses.producer(source) is None:
            return f"{source.name} is an input of the graph"
        if len(uses.consumers(source)) != 1 or uses.is_output(source):
            return f"{source.name} has other readers"
    return None


def _has_zeros(index_map: IndexMap) -> bool:
    n, h, w = plane(index_map.output)
    return any(sum(p.box.volume for p in pieces) != n * h * w for pieces in index_map.channels)


def _swap(graph: Graph, mapped: Node, function: Node) -> None:
    """function(map(x)) → map(function(x)); the map keeps its variable, which reports know it by."""
    assert isinstance(function.call, Call)
    rest = function.call.args[1:]
    results: dict[Var, Var] = {}
    for source in dict.fromkeys(mapped.variables):
        call = Call(function.call.op, [source, *rest], function.call.attrs, function.call.ty_args)
        results[source] = graph.insert_before(mapped, call, function.name).var
    sources = [results[source] for source in mapped.variables]
    mapped.call = index_map_call(index_map_of(mapped.call), sources, len(shape_of(mapped.var)))
    graph.nodes.remove(function)
    graph.replace(function.var, mapped.var)
