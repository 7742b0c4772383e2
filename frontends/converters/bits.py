"""Operators on how numbers are represented: infinities, and bits read as another type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import helper
from tvm import relax, te, tirx

from frontends.converters.node import Converter, Expr, Node, constant, constant_scalar, dtype_of, static_shape


def _is_inf(node: Node) -> Expr:
    data = node.inputs[0]
    infinities = [
        constant_scalar(value, data)
        for name, value in (("detect_negative", -np.inf), ("detect_positive", np.inf))
        if node.attribute(name)
    ]
    if not infinities:
        return constant(np.zeros(static_shape(data), np.bool_))
    found = [node.builder.normalize(relax.op.equal(data, infinity)) for infinity in infinities]
    return found[0] if len(found) == 1 else relax.op.logical_or(*found)


def _bit_cast(node: Node) -> Expr:
    data = node.inputs[0]
    wanted = np.dtype(helper.tensor_dtype_to_np_dtype(node.attribute("to"))).name
    if "bool" in (wanted, dtype_of(data)):
        return relax.op.astype(data, wanted)
    if np.dtype(wanted).itemsize != np.dtype(dtype_of(data)).itemsize:
        raise ValueError(f"{dtype_of(data)} has not as many bits as {wanted}")

    def read(values: te.Tensor) -> te.Tensor:
        return te.compute(values.shape, lambda *at: tirx.reinterpret(wanted, values(*at)), "bits")

    return node.builder.emit_te(read, data)


CONVERTERS: Mapping[str, Converter] = {"BitCast": _bit_cast, "IsInf": _is_inf}
