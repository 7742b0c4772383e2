"""Inline model-local functions: the operators an exporter defined inside the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
from onnx import inliner

from frontends.errors import InvalidModelError

_Functions = Mapping[tuple[str, str], onnx.FunctionProto]


def inline_functions(model: onnx.ModelProto, file: str = "") -> onnx.ModelProto:
    """A model without functions; `model` itself if it has none. Raises InvalidModelError."""
    if not model.functions:
        return model
    functions = {(function.domain, function.name): function for function in model.functions}
    _spell_out_defaults(model.graph.node, functions)
    for function in model.functions:
        _spell_out_defaults(function.node, functions)
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the inliner raises plain RuntimeErrors
        raise InvalidModelError(f"its functions cannot be inlined: {error}", file=file) from error


def _spell_out_defaults(nodes: Iterable[onnx.NodeProto], functions: _Functions) -> None:
    """Give calls the attributes they leave to the function's default, in place: the inliner does not."""
    for node in nodes:
        function = functions.get((node.domain, node.op_type))
        if function is not None:
            given = {attribute.name for attribute in node.attribute}
            node.attribute.extend(entry for entry in function.attribute_proto if entry.name not in given)
