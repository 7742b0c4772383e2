"""The element types that programs compute with; a tensor of any other is refused where it arises."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from frontends.errors import UnsupportedTypeError
from frontends.narrow_types import NARROW
from frontends.signature import dtype_name

_SUPPORTED = frozenset(
    {
        TensorProto.BOOL,
        *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
        *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
        *(TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE),
    }
)
_NAMES = frozenset(dtype_name(kind) for kind in _SUPPORTED)
_ADVICE = "use float32, or another type of real numbers"


def require_supported_interface(graph: onnx.GraphProto, file: str) -> None:
    """Raises UnsupportedTypeError for a value of the interface that is no dense tensor of such a type."""
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type if value.type.HasField("tensor_type") else None
        if tensor is None or tensor.elem_type == TensorProto.STRING:
            raise UnsupportedTypeError(f"'{value.name}' is not a tensor of numbers", file=file)
        if tensor.elem_type not in _SUPPORTED | NARROW.keys():
            raise UnsupportedTypeError(f"'{value.name}' is {_name(tensor.elem_type)}: {_ADVICE}", file=file)
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise UnsupportedTypeError(f"weight '{name}' is sparse, which is not supported", file=file)


def require_supported(dtype: str) -> None:
    """Raises ValueError for a type that no program computes with; dtype: as Relax names it."""
    if dtype not in _NAMES:
        raise ValueError(f"its result is {dtype}: {_ADVICE}")


def _name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower() if kind else "of no type"
