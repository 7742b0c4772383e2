"""Operators that no kernel is found for, in the words of the model: file, node, operator, types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from frontends import ImportedModel
from frontends.shapes import describe_type
from shiftc.errors import OperatorNotCompiledError
from tvm_passes.lowering.context import OperatorError


@contextmanager
def in_words_of(imported: ImportedModel, file: Path) -> Iterator[None]:
    """An OperatorError of the passes inside becomes an OperatorNotCompiledError."""
    try:
        yield
    except OperatorError as error:
        raise OperatorNotCompiledError(_describe(error, imported.onnx_model.graph, file)) from error


def _describe(error: OperatorError, graph: onnx.GraphProto, file: Path) -> str:
    known = {node.name: node for node in graph.node}
    nodes = [known[name] for name in error.nodes if name in known]
    if not nodes:
        return f"{file}: no kernel for a part of the model: {error.reason or 'report it, please'}"
    types = {value.name: describe_type(value) for value in (*graph.input, *graph.value_info)}
    named = ", ".join(f"'{node.name}'" for node in nodes)
    operators = ", ".join(dict.fromkeys(_operator(node, types) for node in nodes))
    reason = f" ({error.reason})" if error.reason else ""
    return (
        f"{file}: node{'s' if len(nodes) > 1 else ''} {named}: {operators} cannot be compiled{reason}; "
        "write it with other operators, or compute it outside the model"
    )


def _operator(node: onnx.NodeProto, types: dict[str, str]) -> str:
    operands = [types[name] for name in node.input if name in types]
    return f"{node.op_type} of {', '.join(operands)}" if operands else str(node.op_type)
