"""TopK, and sums and products up to each element."""

from __future__ import annotations

from collections.abc import Mapping

from frontends.converters.node import (
    Converter,
    Expr,
    Node,
    axis_of,
    constant_value,
    fields_of,
    static_shape,
)
from frontends.kernels import order, scan


def _top_k(node: Node) -> list[Expr]:
    """In order whether asked for or not; of equal elements the one of the lower index comes first."""
    data = node.inputs[0]
    axis = axis_of(node.attribute("axis"), data)
    given = node.optional(1)
    count = node.attribute("k") if given is None else int(constant_value(given, "k").reshape(()))
    size = static_shape(data)[axis]
    if not 0 <= count <= size:
        raise ValueError(f"its k is {count}, of {size} elements")
    node.attribute("sorted")
    return fields_of(node.builder.emit_te(order.top, data, axis, count, bool(node.attribute("largest", 1))))


def _cumulative(node: Node) -> Expr:
    data = node.inputs[0]
    axis = axis_of(int(constant_value(node.inputs[1], "axis").reshape(())), data)
    flags = (node.operator == "CumProd", *(bool(node.attribute(name)) for name in ("exclusive", "reverse")))
    return node.builder.emit_te(scan.cumulative, data, axis, *flags)


CONVERTERS: Mapping[str, Converter] = {"CumProd": _cumulative, "CumSum": _cumulative, "TopK": _top_k}
