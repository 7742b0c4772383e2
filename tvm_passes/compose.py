"""index_map(index_map(x)) → index_map(x).

Commuting functions out of the way leaves maps that read maps. They become one, so that the stage that
folds it reads x itself. The algebra is closed, so any two compose; what would turn a translation into
something a kernel cannot read through stays apart.
Place: after commute, before separate.
"""

from __future__ import annotations

from tvm.ir import Expr, IRModule

from .apply_index_map import index_map_call, index_map_of
from .graph import Graph, Node
from .index_map import IndexMap
from .relax_values import shape_of
from .report import Report
from .translation import translation_of


def compose(mod: IRModule, report: Report) -> IRModule:
    """Compose every index map of `main` with the index maps it reads."""
    graph = Graph.read(mod)
    producers = graph.producers()
    for node in [n for n in graph.nodes if n.op == "index_map"]:
        inner = [producers.get(source) for source in node.args]
        maps = [n if n is not None and n.op == "index_map" else None for n in inner]
        composed = _composed(node, maps)
        if composed is None:
            continue
        index_map, sources = composed
        if index_map.is_identity:
            graph.replace(node.var, sources[0])
        else:
            node.call = index_map_call(index_map, sources, len(shape_of(node.var)))
    graph.remove_dead()
    kept = {node.name for node in graph.nodes}
    for record in report.index_maps:
        if record.variable is not None and record.variable not in kept:
            record.folded = True
    return graph.write(mod)


def _composed(node: Node, maps: list[Node | None]) -> tuple[IndexMap, list[Expr]] | None:
    """The map read through the maps of its sources, and what it reads then; None where it stays."""
    if not any(maps):
        return None
    outer = index_map_of(node.call)
    joined = outer.compose([None if m is None else index_map_of(m.call) for m in maps])
    reads = zip(node.args, maps, strict=True)
    sources = [s for source, inner in reads for s in ((source,) if inner is None else inner.args)]
    merged, kept = joined.merge_sources(sources)
    spoiled = isinstance(translation_of(merged), str) and not isinstance(translation_of(outer), str)
    return None if spoiled or not kept else (merged, [sources[k] for k in kept])
