"""What ONNX infers of a value and what a converter makes of it must have one element type.

Shapes are left to Relax: of pools with `ceil_mode` ONNX's inference knows less than our converters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from tvm import relax

from frontends.converters.node import dtype_of
from frontends.signature import dtype_name

Declared = Mapping[str, str]


def declared_types(graph: onnx.GraphProto) -> Declared:
    """The element types that are recorded in `graph`, by the names of values."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    return {name: dtype_name(kind) for name, kind in kinds.items() if kind}


def require_declared(name: str, result: Any, declared: Declared) -> None:
    """Raises ValueError where `result` is a tensor of another element type than declared."""
    if isinstance(result.ty, relax.TensorType) and declared.get(name, dtype_of(result)) != dtype_of(result):
        raise ValueError(f"its result is {dtype_of(result)} in place of {declared[name]}")
