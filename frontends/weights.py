"""Weights beside the graph: the tools that rewrite a graph need not copy hundreds of megabytes.

The checker, the version converter, shape inference and the simplifier each serialize the model. They
get the *skeleton*: the same graph with every large initializer declared as an input instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx
from onnx import helper

SMALLEST_WEIGHT = 1024
"""Elements from which a floating-point initializer counts as a weight. Shapes, indices and the like
stay: rewriting tools need their values."""

_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16}
)

Weights = dict[str, onnx.TensorProto]


FIRST_FREE_INITIALIZERS = 4
"""The IR version since which an initializer need not be listed as an input too."""


def drop_initializers_from_inputs(model: onnx.ModelProto) -> None:
    """Keep only the real inputs, in place."""
    graph = model.graph
    model.ir_version = max(model.ir_version, FIRST_FREE_INITIALIZERS)
    initialized = {tensor.name for tensor in graph.initializer}
    for index in reversed(range(len(graph.input))):
        if graph.input[index].name in initialized:
            del graph.input[index]


def detach_weights(model: onnx.ModelProto) -> Weights:
    """Turn `model` into its skeleton, in place, and return what was taken out, by name."""
    graph = model.graph
    outputs = {value.name for value in graph.output}
    weights: Weights = {}
    for index in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[index]
        is_weight = tensor.data_type in _FLOATS and prod(tensor.dims) >= SMALLEST_WEIGHT
        if is_weight and tensor.name not in outputs:
            weights[tensor.name] = tensor
            del graph.initializer[index]
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return weights


def attach_weights(model: onnx.ModelProto, weights: Mapping[str, onnx.TensorProto]) -> None:
    """The inverse of `detach_weights`, in place; weights that nothing reads any more are left out."""
    graph = model.graph
    for index in reversed(range(len(graph.input))):
        if graph.input[index].name in weights:
            del graph.input[index]
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in used)
