"""Weights that a model holds quantized become the floats they stand for, and fold like any others."""

from __future__ import annotations

import onnx
from onnx import numpy_helper

from frontends.known_values import evaluate
from frontends.model_file import standard_opset
from frontends.quantization import EVALUATORS
from frontends.standard_domain import STANDARD_DOMAIN


def dequantize_weights(model: onnx.ModelProto) -> None:
    """Evaluates, in place, every QuantizeLinear and DequantizeLinear of weights, in the order of the graph.

    Weights may be of types that programs do not compute with: integers and floats of 4 and 8 bits.
    """
    graph, opset = model.graph, standard_opset(model)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if not _is_of_weights(node, weights):
            kept.append(node)
            continue
        values = {name: numpy_helper.to_array(weights[name]) for name in node.input if name}
        (result,) = evaluate(node, opset, values)
        assert result is not None
        weights[node.output[0]] = numpy_helper.from_array(result, node.output[0])
    if len(kept) == len(graph.node):
        return
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in used)


def _is_of_weights(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    quantized = node.domain == STANDARD_DOMAIN and node.op_type in EVALUATORS
    return quantized and all(name in weights for name in node.input if name)
