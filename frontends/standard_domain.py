"""ONNX's own operators have two names for their domain, "" and "ai.onnx"; afterwards only the first."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx.defs

STANDARD_DOMAIN = ""
_ALIAS = "ai.onnx"


def use_one_standard_domain(model: onnx.ModelProto) -> None:
    """Write the standard domain as "" wherever `model` names it, in place."""
    _rename_import(model)
    _rename_nodes(model.graph.node)
    _import_if_missing(model)
    for function in model.functions:
        _rename_import(function)
        _rename_nodes(function.node)


def _import_if_missing(model: onnx.ModelProto) -> None:
    """A model of other operators alone need not import the standard domain; what they are made of does."""
    domains = {entry.domain for entry in model.opset_import}
    if domains and STANDARD_DOMAIN not in domains | {node.domain for node in model.graph.node}:
        model.opset_import.append(onnx.helper.make_opsetid(STANDARD_DOMAIN, onnx.defs.onnx_opset_version()))


def _rename_import(owner: onnx.ModelProto | onnx.FunctionProto) -> None:
    """One import of the standard domain stays; where there are two, the newer."""
    standard = [entry for entry in owner.opset_import if entry.domain in (STANDARD_DOMAIN, _ALIAS)]
    if standard:
        others = [entry for entry in owner.opset_import if entry.domain not in (STANDARD_DOMAIN, _ALIAS)]
        version = max(entry.version for entry in standard)
        del owner.opset_import[:]
        owner.opset_import.extend([onnx.helper.make_opsetid(STANDARD_DOMAIN, version), *others])


def _rename_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        if node.domain == _ALIAS:
            node.domain = STANDARD_DOMAIN
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                _rename_nodes(graph.node)
