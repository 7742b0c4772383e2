"""Hardmax before opset 13: the largest of all elements from an axis on, not of those along it.

ONNX's version converter rewrites Softmax and LogSoftmax, which changed in the same way, and forgets Hardmax.
"""

from __future__ import annotations

import onnx
from onnx import helper

FIRST_ALONG_AN_AXIS = 13
"""The opset."""


def flatten_hardmax(graph: onnx.GraphProto) -> None:
    """Flatten what every Hardmax of an older opset reads, and give its result the old shape, in place."""
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "Hardmax" or node.domain:
            nodes.append(node)
            continue
        axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 1)
        data, result = node.input[0], node.output[0]
        shape, flat, largest = (f"{result}_{part}" for part in ("shape", "flat", "largest"))
        nodes += [
            helper.make_node("Shape", [data], [shape], f"{node.name}/Shape"),
            helper.make_node("Flatten", [data], [flat], f"{node.name}/Flatten", axis=axis),
            helper.make_node("Hardmax", [flat], [largest], f"{node.name}/Hardmax", axis=1),
            helper.make_node("Reshape", [largest, shape], [result], node.name),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
