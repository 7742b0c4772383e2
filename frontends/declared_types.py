"""What ONNX infers of a value and what a converter makes of it must be one: a mismatch is never compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from tvm import relax, tirx

from frontends.converters.node import dtype_of
from frontends.signature import dtype_name, static_shape

Declared = Mapping[str, onnx.ValueInfoProto]


def declared_types(graph: onnx.GraphProto) -> Declared:
    """The values of `graph` whose types are recorded, by name."""
    return {value.name: value for value in (*graph.value_info, *graph.output)}


def require_declared(name: str, result: Any, declared: Declared, shape_too: bool) -> None:
    """Raises ValueError where `result` has another element type, or another static shape, than declared.

    shape_too: not where a converter of ours knows better than ONNX's inference, which is wrong of some pools.
    """
    value = declared.get(name)
    if value is None or not isinstance(result.ty, relax.TensorType):
        return
    element = value.type.tensor_type.elem_type
    if element and dtype_of(result) != dtype_name(element):
        raise ValueError(f"its result is {dtype_of(result)} in place of {dtype_name(element)}")
    wanted, made = static_shape(value), result.ty.shape
    if not shape_too or wanted is None or made is None:
        return
    if all(isinstance(dim, tirx.IntImm) for dim in made) and wanted != tuple(int(dim) for dim in made):
        raise ValueError(f"its result has shape {[int(dim) for dim in made]} in place of {list(wanted)}")
