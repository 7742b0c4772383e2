"""Element-wise operators whose bounds or number of operands TVM's importer turns into opaque kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
from tvm import relax
from tvm.ir import GenericConst

from frontends.converters.node import Converter, Expr, Node, constant_value, dtype_of


def _clip(node: Node) -> Expr:
    data, low, high = node.inputs[0], node.optional(1), node.optional(2)
    bounds = [bound for bound in (low, high) if bound is not None]
    # Integers have no infinity to stand in for an absent bound.
    is_float = dtype_of(data).startswith("float")
    if is_float and all(isinstance(bound, GenericConst) for bound in bounds):
        limits = [
            unbounded if bound is None else float(constant_value(bound, "bound").reshape(()))
            for bound, unbounded in ((low, -np.inf), (high, np.inf))
        ]
        return relax.op.clip(data, min(limits), limits[1])  # where they cross, the upper bound counts
    result = data if low is None else relax.op.maximum(data, low)
    return result if high is None else relax.op.minimum(result, high)


def _chain(operator: Callable[[Expr, Expr], Expr]) -> Converter:
    """A variadic operator as a chain of binary ones, which broadcast as ONNX does."""

    def convert(node: Node) -> Expr:
        return reduce(lambda left, right: node.builder.normalize(operator(left, right)), node.inputs)

    return convert


def _mean(node: Node) -> Expr:
    total = _chain(relax.op.add)(node)
    return relax.op.divide(total, relax.const(float(len(node.inputs)), dtype_of(total)))


CONVERTERS: Mapping[str, Converter] = {
    "Clip": _clip,
    "Max": _chain(relax.op.maximum),
    "Mean": _mean,
    "Min": _chain(relax.op.minimum),
    "Sum": _chain(relax.op.add),
}
