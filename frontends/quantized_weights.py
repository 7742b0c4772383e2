"""Weights that a model holds quantized become the floats they stand for, and fold like any others."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from frontends.known_values import evaluate
from frontends.model_file import standard_opset
from frontends.narrow_types import NARROW
from frontends.quantization import EVALUATORS
from frontends.standard_domain import STANDARD_DOMAIN


def dequantize_weights(model: onnx.ModelProto) -> None:
    """Evaluates, in place, QuantizeLinear and DequantizeLinear of weights, and all that is done to weights of
    narrow types."""
    graph, opset = model.graph, standard_opset(model)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if not _is_of_weights(node, weights):
            kept.append(node)
            continue
        values = {name: numpy_helper.to_array(weights[name]) for name in node.input if name}
        for name, result in zip(node.output, evaluate(node, opset, values), strict=True):
            if result is not None:
                weights[name] = numpy_helper.from_array(result, name)
    if len(kept) == len(graph.node):
        return
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in used)


def _is_of_weights(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    given = [name for name in node.input if name]
    if node.domain != STANDARD_DOMAIN or not given or not all(name in weights for name in given):
        return False
    return node.op_type in EVALUATORS or any(weights[name].data_type in NARROW for name in given)
