"""index_map(a, b) → index_map(index_map(a), b) where a is read with another stride or plane than b.

A kernel reads all channels with one stride from planes of one size. Where a concat joins channels that
are read differently, those that do not simply select whole channels get a map of their own: only they
are copied, the rest still folds.
Place: after compose, before fuse.
"""

from __future__ import annotations

import attrs
from tvm.ir import Expr, IRModule

from .apply_index_map import index_map_call, index_map_of
from .graph import Graph, Node
from .index_map import IndexMap, as_4d
from .relax_values import shape_of
from .report import IndexMapRecord, Report
from .translation import summarize, translation_of

REASON = "other sources of the same tensor are read with another stride, or have other planes"


def separate(mod: IRModule, report: Report) -> IRModule:
    """Give sources of `main`'s index maps that are read differently maps of their own."""
    graph = Graph.read(mod)
    for node in [n for n in graph.nodes if n.op == "index_map"]:
        index_map = index_map_of(node.call)
        parts = _parts(index_map)
        if parts is not None:
            _separate(graph, node, index_map, parts, report)
    return graph.write(mod)


def _parts(index_map: IndexMap) -> list[tuple[int, list[int]]] | None:
    """(source, its output channels), if the map is no translation but every source alone is one."""
    if not isinstance(translation_of(index_map), str):
        return None
    of_source: dict[int, list[int]] = {}
    for channel, pieces in enumerate(index_map.channels):
        sources = {piece.source for piece in pieces}
        if len(sources) != 1:
            return None
        of_source.setdefault(sources.pop(), []).append(channel)
    parts = sorted(of_source.items())
    alone = [translation_of(_part(index_map, source, channels)) for source, channels in parts]
    return parts if len(parts) > 1 and not any(isinstance(t, str) for t in alone) else None


def _part(index_map: IndexMap, source: int, channels: list[int]) -> IndexMap:
    """The map of some channels, all of one source."""
    n, _, h, w = index_map.output
    pieces = tuple(tuple(attrs.evolve(p, source=0) for p in index_map.channels[c]) for c in channels)
    return IndexMap((index_map.sources[source],), (n, len(channels), h, w), pieces)


def _separate(
    graph: Graph,
    node: Node,
    index_map: IndexMap,
    parts: list[tuple[int, list[int]]],
    report: Report,
) -> None:
    record = report.index_map(node.name)
    sources: list[Expr] = []
    reads: list[tuple[int, int] | None] = [None] * len(index_map.channels)
    for place, (source, channels) in enumerate(parts):
        part = _part(index_map, source, channels)
        if part.is_channels_only:
            sources.append(node.args[source])
            chosen = [pieces[0].channel for pieces in part.channels]
        else:
            inner = graph.insert_before(node, index_map_call(part, [node.args[source]]), node.name)
            sources.append(inner.var)
            chosen = list(range(len(channels)))
            offsets, border = summarize(part)
            names = () if record is None else record.nodes
            copied = IndexMapRecord(names, len(channels), offsets, border, inner.name, REASON)
            report.index_maps.append(copied)
        for channel, read in zip(channels, chosen, strict=True):
            reads[channel] = (place, read)
    joined = IndexMap.gather([as_4d(shape_of(source)) for source in sources], reads)
    node.call = index_map_call(joined, sources, len(shape_of(node.var)))
