"""anchor(x) → +bias → +residual → activation becomes one stage.

Every convolution, matrix multiplication and pool takes the element-wise operators that follow it into
its stage; what is left of element-wise chains becomes stages of its own. An Add of two anchors joins
the later one, so that the other tensor is there when the stage runs.

A stage is a private function with `Composite = "shiftc.stage"`; its body is the original operators.
Place: after commute (which takes index maps out of the way), before fold.
"""

from __future__ import annotations

from tvm.ir import IRModule, Var

from .anchor import anchor_of
from .epilogue import head_step, match_step
from .graph import Graph, Node
from .outline import Outlined, outline
from .stage import COMPOSITE, COMPOSITE_ATTRIBUTE
from .uses import Uses


def fuse(mod: IRModule) -> IRModule:
    """Group the operators of `main` into stages."""
    graph = Graph.read(mod)
    uses = Uses(graph)
    claimed: set[Var] = set()
    groups: list[list[Node]] = []
    for node in reversed(graph.nodes):  # from the end: the later of two anchors gets their Add
        if node.var not in claimed and not isinstance(anchor_of(node), str):
            groups.append(_grow(uses, [node], node.var, claimed))
    groups.reverse()
    for node in graph.nodes:
        head = None if node.var in claimed else head_step(uses, node)
        if head is not None and not isinstance(head, str):
            _, step = head
            if not claimed.intersection(n.var for n in step.nodes):
                groups.append(_grow(uses, list(step.nodes), step.result, claimed))
    marked = {COMPOSITE_ATTRIBUTE: COMPOSITE}
    stages = [Outlined(group, f"stage_{number}", marked) for number, group in enumerate(groups)]
    return graph.write(outline(mod, graph, stages))


def _grow(uses: Uses, group: list[Node], value: Var, claimed: set[Var]) -> list[Node]:
    """The group with every epilogue step that follows `value`, all marked as claimed."""
    claimed.update(node.var for node in group)
    while True:
        step = match_step(uses, value)
        if isinstance(step, str) or claimed.intersection(node.var for node in step.nodes):
            return group
        group.extend(step.nodes)
        claimed.update(node.var for node in step.nodes)
        value = step.result
