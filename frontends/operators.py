"""Which ONNX operators can be imported, and the one error that lists those that cannot."""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx
from tvm.relax.frontend.onnx import onnx_frontend

from frontends.advice import advice_on
from frontends.converters import CONVERTERS
from frontends.errors import UnsupportedOperatorError
from frontends.quantized_operators import is_quantized_operator
from frontends.standard_domain import STANDARD_DOMAIN

_CONTRIB_OPERATORS = frozenset(
    {"BiasGelu", "EmbedLayerNormalization", "FastGelu", "Gelu", "SkipLayerNormalization"}
)
"""Of domain com.microsoft."""
_WITHOUT_TVM = frozenset({"Attention"})
"""TVM's converter is of another operator of the same name."""


def has_converter(node: onnx.NodeProto) -> bool:
    if is_quantized_operator(node):
        return True
    if node.domain == STANDARD_DOMAIN:
        return node.op_type in CONVERTERS or (
            node.op_type in onnx_frontend._get_convert_map() and node.op_type not in _WITHOUT_TVM
        )
    return node.domain == "com.microsoft" and node.op_type in _CONTRIB_OPERATORS


def is_known(node: onnx.NodeProto) -> bool:
    """Whether ONNX itself defines the operator: simplification may yet remove or rewrite the node."""
    return bool(onnx.defs.has(node.op_type, node.domain))


def require_known_operators(
    model: onnx.ModelProto, custom: Collection[tuple[str, str]], file: str = ""
) -> None:
    """Refuse operators that neither ONNX nor we define; `custom` names those handled elsewhere.

    Raises UnsupportedOperatorError that lists, with them, every other operator without a converter.
    """

    def is_custom(node: onnx.NodeProto) -> bool:
        return (node.domain, node.op_type) in custom

    if any(not (is_known(node) or has_converter(node) or is_custom(node)) for node in model.graph.node):
        _require(model, lambda node: has_converter(node) or is_custom(node), file)


def require_converters(model: onnx.ModelProto, file: str = "") -> None:
    """Raises UnsupportedOperatorError that lists every operator of `model` without a converter."""
    _require(model, has_converter, file)


def _require(model: onnx.ModelProto, supported: Callable[[onnx.NodeProto], bool], file: str) -> None:
    missing: dict[str, list[str]] = {}
    advice = {}
    for node in model.graph.node:
        if not supported(node):
            operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            missing.setdefault(operator, []).append(node.name)
            advice[operator] = advice_on(node.op_type, node.domain)
    if missing:
        raise UnsupportedOperatorError(list(missing.items()), advice, file=file)
