"""Nothing a node says is ignored: what its converter has not asked for is refused, unless without effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx

from frontends.converters import Node
from frontends.converters.node import dtype_of, static_shape

_Without = Callable[[Node], bool]


def _always(_: Node) -> bool:
    return True


def _has_one_output(node: Node) -> bool:
    return node.outputs_read == 1


def _is_float32(node: Node) -> bool:
    return dtype_of(node.inputs[0]) == "float32"


def _has_elements(node: Node) -> bool:
    return 0 not in static_shape(node.inputs[0])


_ATTRIBUTES_WITHOUT_EFFECT: Mapping[tuple[str, str], _Without] = {
    ("BatchNormalization", "momentum"): _has_one_output,
    ("BatchNormalization", "spatial"): _always,
    ("Dropout", "seed"): _always,
    ("LayerNormalization", "stash_type"): _is_float32,
    ("MaxPool", "storage_order"): _has_one_output,
    ("Reshape", "allowzero"): _has_elements,
}
"""By operator and attribute: where the result does not depend on it, as it is used."""


def require_nothing_ignored(node: Node) -> None:
    """Raises ValueError for an attribute or an input that the converter of `node` has not asked for."""
    for name in node.attributes.unread():
        value = node.attributes.peek(name)
        if value != node.schema_default(name) and not _is_without_effect(node, name):
            raise ValueError(f"its attribute {name} = {_shown(value)} is not supported")
    for position in node.inputs.unread():
        raise ValueError(f"its input '{node.input_name(position)}' is not supported")


def _is_without_effect(node: Node, name: str) -> bool:
    without = _ATTRIBUTES_WITHOUT_EFFECT.get((node.operator, name))
    return without is not None and without(node)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value.decode(errors="replace"))
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, onnx.GraphProto | onnx.TensorProto | onnx.SparseTensorProto | onnx.TypeProto):
        return f"a {type(value).__name__.removesuffix('Proto').lower()}"
    return str(value)
