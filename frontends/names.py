"""Node names: every ONNX node gets one, and no two share it, so that tools can point at nodes."""

from __future__ import annotations

import onnx


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give nodes without a name `<op_type>_<index>` and make repeated names unique, in place."""
    taken = {node.name for node in graph.node}
    seen: set[str] = {""}
    for index, node in enumerate(graph.node):
        if node.name in seen:
            node.name = unique_name(node.name or f"{node.op_type}_{index}", taken)
            taken.add(node.name)
        seen.add(node.name)


def unique_name(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem_2`, `stem_3` … until it is not in `taken`."""
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    return name
