"""The element types that a graph records."""

from __future__ import annotations

import onnx


def value_types(graph: onnx.GraphProto) -> dict[str, int]:
    """ONNX's number of the element type of every value that is known, by name."""
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: int(value.type.tensor_type.elem_type) for value in values}
    return types | {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
