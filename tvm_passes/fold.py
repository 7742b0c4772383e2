"""stage(index_map(x), index_map(r)) → stage[map](x, r).

Moves index maps out of `main` into the stages that read through them: the stage's kernel will find the
map in its address tables, and the movement costs nothing. A map that several stages read folds into
each. What does not fold stays and says why.
Place: after fuse, before layout.
"""

from __future__ import annotations

from tvm.ir import IRModule, Var

from .apply_index_map import index_map_of
from .foldable import refuse_data, refuse_operand
from .graph import Graph, Node
from .outline import Outlined, outline
from .report import Report
from .separate import REASON as SEPARATED
from .stage import COMPOSITE, COMPOSITE_ATTRIBUTE, Stage, stage_of
from .uses import Uses


def fold(mod: IRModule, report: Report) -> IRModule:
    """Fold every index map of `main` that the stages reading it accept."""
    graph = Graph.read(mod)
    uses = Uses(graph)
    refusals: dict[Var, str] = {}
    folded: list[Outlined] = []
    for node in list(graph.nodes):
        stage = stage_of(mod, node)
        if stage is None:
            for var in node.variables:
                if _is_map(uses, var):
                    refusals[var] = _refusal(node)
            continue
        maps = _accepted(uses, stage, refusals)
        if maps:
            folded.append(_with_maps(graph, node, maps))
    mod = outline(mod, graph, folded)
    _record(graph, report, refusals)
    graph.remove_dead()
    return graph.write(mod)


def _refusal(reader: Node) -> str:
    return SEPARATED if reader.op == "index_map" else f"{reader.op} is not a stage that reads through maps"


def _is_map(uses: Uses, var: Var) -> Node | None:
    producer = uses.producer(var)
    return producer if producer is not None and producer.op == "index_map" else None


def _accepted(uses: Uses, stage: Stage, refusals: dict[Var, str]) -> list[Node]:
    """The index maps that the stage takes in; refusals are noted."""
    found: dict[Var, str | None] = {}
    for operation in (None, *stage.epilogue):
        read = stage.read if operation is None else operation.read
        node = None if read is None or read.map is not None else _is_map(uses, read.sources[0])
        if node is None:
            continue
        index_map = index_map_of(node.call)
        if operation is None:
            reason = refuse_data(stage, index_map)
        else:
            reason = refuse_operand(stage, index_map, operation.step.per_channel)
        found[node.var] = found.get(node.var) or reason
    refusals.update({var: reason for var, reason in found.items() if reason is not None})
    producers = [uses.producer(var) for var, reason in found.items() if reason is None]
    return [node for node in producers if node is not None]


def _with_maps(graph: Graph, stage: Node, maps: list[Node]) -> Outlined:
    """The stage and index maps of its own: copies, because others may read the originals."""
    copies = [graph.insert_before(stage, node.call, node.name) for node in maps]
    own = {node.var: copy.var for node, copy in zip(maps, copies, strict=True)}
    stage.call = type(stage.call)(stage.call.op, [own.get(arg, arg) for arg in stage.call.args])
    name = stage.op.removeprefix("call:") + "_mapped"
    return Outlined([*copies, stage], name, {COMPOSITE_ATTRIBUTE: COMPOSITE})


def _record(graph: Graph, report: Report, refusals: dict[Var, str]) -> None:
    """Tell the report which maps are gone, which became the output's layout, and which stay and why."""
    for node in graph.nodes:
        record = report.index_map(node.name) if node.op == "index_map" else None
        if record is not None:
            record.reason = refusals.get(node.var)
            record.folded = record.reason is None
