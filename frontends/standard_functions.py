"""Operators that ONNX defines by simpler ones: one that no converter takes becomes what it is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import onnx
from onnx import inliner

from frontends.errors import InvalidModelError
from frontends.names import name_nodes
from frontends.operators import has_converter
from frontends.shapes import infer_shapes

_DOMAIN = "shiftc.standard_functions"
"""Of the functions that exist only until they are inlined."""


def inline_standard_functions(model: onnx.ModelProto, file: str = "") -> onnx.ModelProto:
    """A model in which no operator has a function body in ONNX's schema and no converter.

    model: with the types of its values recorded, on which some bodies depend; so has the result.
    The nodes of a body are named after the node they come from. Raises InvalidModelError.
    """
    while inlined := [node for node in model.graph.node if _is_defined_by_others(node, model)]:
        types, prefixes = _types(model.graph), tuple(f"{node.name}/" for node in inlined)
        for index, node in enumerate(inlined):
            function = _function(node, f"{node.op_type}_{index}", types, model)
            model.functions.append(function)
            node.domain, node.op_type = function.domain, function.name
        imports = list(model.opset_import)
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
        try:
            model = inliner.inline_local_functions(model, convert_version=True)
        except RuntimeError as error:
            operators = ", ".join(sorted({function.name for function in model.functions}))
            raise InvalidModelError(f"cannot be written out: {operators}: {error}", file=file) from error
        del model.opset_import[:]
        model.opset_import.extend(imports)
        _tidy_names(model.graph, prefixes)
        model = infer_shapes(model, file)
    return model


def _tidy_names(graph: onnx.GraphProto, prefixes: tuple[str, ...]) -> None:
    """Take off what the inliner appends to the names of a body's nodes."""
    for node in graph.node:
        if node.name.startswith(prefixes):
            node.name = re.sub(r"__\d+(_\d+)*$", "", node.name)
    name_nodes(graph)


def spell_out_defaults(model: onnx.ModelProto) -> None:
    """State the defaults of operators whose body refers to them, in place: shape inference needs them. So
    does that of STFT, which takes `onesided` for 0 where nothing is said."""
    for node in model.graph.node:
        schema = _schema(node, model)
        if schema is not None and (schema.has_function or schema.name == "STFT"):
            _state_defaults(node, schema)


def _is_defined_by_others(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    schema = None if has_converter(node) else _schema(node, model)
    return schema is not None and _version(schema, model) is not None


def _schema(node: onnx.NodeProto, model: onnx.ModelProto) -> onnx.defs.OpSchema | None:
    opset = _opset(model, node.domain)
    if not opset or not onnx.defs.has(node.op_type, opset, node.domain):
        return None
    return onnx.defs.get_schema(node.op_type, opset, node.domain)


def _opset(model: onnx.ModelProto, domain: str) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain == domain), default=0)


def _version(schema: onnx.defs.OpSchema, model: onnx.ModelProto) -> int | None:
    """The newest operator set a body is written for that the model's includes; None without a body."""
    opset = _opset(model, schema.domain)
    versions = (*schema.function_opset_versions, *schema.context_dependent_function_opset_versions)
    return max((version for version in versions if version <= opset), default=None)


def _function(
    node: onnx.NodeProto, name: str, types: Mapping[str, onnx.TypeProto], model: onnx.ModelProto
) -> onnx.FunctionProto:
    """The body of `node` as a function of its own; the node spells out its defaults afterwards."""
    schema = _schema(node, model)
    assert schema is not None
    version = _version(schema, model)
    _state_defaults(node, schema)
    if version in schema.function_opset_versions:
        body = schema.get_function_with_opset_version(version)
    else:
        known = [types.get(value, onnx.TypeProto()).SerializeToString() for value in node.input]
        body = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), known
        )
    function = onnx.FunctionProto.FromString(body)
    function.domain, function.name = _DOMAIN, name
    for inner in function.node:
        inner.name = f"{node.name}/{inner.op_type}"
    if all(_is_valid_in(model, inner) for inner in function.node):
        del function.opset_import[:]
        function.opset_import.extend(model.opset_import)
    return function


def _state_defaults(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> None:
    given = {attribute.name for attribute in node.attribute}
    node.attribute.extend(
        attribute.default_value
        for attribute in schema.attributes.values()
        if attribute.name not in given and attribute.default_value.name
    )


def _is_valid_in(model: onnx.ModelProto, inner: onnx.NodeProto) -> bool:
    """Whether the model's operator set still takes the node as an older one did."""
    schema = _schema(inner, model)
    if schema is None or not schema.min_input <= len(inner.input) <= schema.max_input:
        return False
    return all(attribute.name in schema.attributes for attribute in inner.attribute)


def _types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    values: Iterable[onnx.ValueInfoProto] = [*graph.value_info, *graph.output, *graph.input]
    types = {value.name: value.type for value in values}
    for tensor in graph.initializer:
        types[tensor.name] = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return types
