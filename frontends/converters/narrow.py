"""Codes of narrow types to numbers and back: the operators that `frontends.narrow_codes` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant, dtype_of
from frontends.kernels import narrow as kernels
from frontends.narrow_types import CODE, NARROW, NarrowType


def encoded(builder: Any, data: Expr, narrow: NarrowType, saturate: bool, round_mode: str = "up") -> Expr:
    """`data`, of any type, as codes: floats rounded; integers cut to the bits of the narrow type."""
    if not narrow.is_float:
        if "float" in dtype_of(data):
            data = builder.normalize(relax.op.astype(data, "int32"))
        bits = builder.normalize(relax.op.astype(data, CODE))
        return relax.op.bitwise_and(bits, relax.const((1 << narrow.bits) - 1, CODE))
    if dtype_of(data) != "float32":
        data = builder.normalize(relax.op.astype(data, "float32"))
    if narrow.is_exponent:
        return builder.emit_te(kernels.encode_exponent, data, round_mode, saturate)
    return builder.emit_te(lambda numbers: kernels.encode(numbers, narrow, saturate), data)


def _decode(node: Node) -> Expr:
    values = NARROW[node.attribute("of")].values
    return node.builder.emit_te(kernels.decode, node.inputs[0], constant(values))


def _encode(node: Node) -> Expr:
    saturate, round_mode = bool(node.attribute("saturate", 1)), node.attribute("round_mode", "up")
    return encoded(node.builder, node.inputs[0], NARROW[node.attribute("to")], saturate, round_mode)


CONVERTERS: Mapping[str, Converter] = {"Decode": _decode, "Encode": _encode}
