"""The body of a control-flow node as nodes of the graph around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx


def written_out(
    body: onnx.GraphProto, prefix: str, bindings: Mapping[str, str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[str]]:
    """Copies of the nodes and initializers of `body`, and the names of its outputs.

    What the body defines gets names that begin with `prefix`; what it reads of the graph around keeps its
    name. bindings: the outer value of each of its inputs.
    """
    copy = onnx.GraphProto()
    copy.CopyFrom(body)
    _rename(copy, prefix, bindings)
    for node in copy.node:
        node.name = f"{prefix}{node.name or node.op_type}"
    return list(copy.node), list(copy.initializer), [value.name for value in copy.output]


def _rename(graph: onnx.GraphProto, prefix: str, outer: Mapping[str, str]) -> None:
    """Names of values, in place, in the bodies inside `graph`, too."""
    defined = [tensor.name for tensor in graph.initializer]
    defined += [name for node in graph.node for name in node.output if name]
    names = {**outer, **{name: prefix + name for name in defined}}
    for named in (*graph.initializer, *graph.output):
        named.name = names.get(named.name, named.name)
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.get(name, name)
        for body in bodies(node):
            inputs = {value.name: prefix + value.name for value in body.input}
            for value in body.input:
                value.name = inputs[value.name]
            _rename(body, prefix, {**names, **inputs})


def bodies(node: onnx.NodeProto) -> Iterable[onnx.GraphProto]:
    """The graphs a control-flow node holds."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
