"""Node names: every ONNX node gets one, and no two share it, so that tools can point at nodes."""

from __future__ import annotations

from collections.abc import Mapping

import onnx


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give nodes without a name `<op_type>_<index>` and make repeated names unique, in place."""
    taken = {node.name for node in graph.node}
    seen: set[str] = {""}
    for index, node in enumerate(graph.node):
        if node.name in seen:
            node.name = unique_name(node.name or f"{node.op_type}_{index}", taken)
        seen.add(node.name)


def names_by_value(graph: onnx.GraphProto) -> dict[str, str]:
    """The name of the node that computes each value."""
    return {value: node.name for node in graph.node for value in node.output if value}


def restore_names(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Undo what graph rewriters do to names, in place: whoever computes a value has the name it had."""
    for node in graph.node:
        node.name = next((names[value] for value in node.output if value in names), node.name)
    name_nodes(graph)


def unique_name(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem_2`, `stem_3` … until it is not in `taken`, to which it is added."""
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name
