"""What is known of a graph before it runs: values that depend on constants and shapes alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from frontends.advice import RANDOM_OPERATORS
from frontends.quantization import EVALUATORS
from frontends.signature import static_shape
from frontends.standard_domain import STANDARD_DOMAIN
from frontends.subgraphs import bodies

Array = NDArray[np.generic]

_MOST_ELEMENTS = 1 << 16


def evaluate(node: onnx.NodeProto, opset: int, values: Mapping[str, Array]) -> list[Array | None]:
    """The outputs of a node, by ONNX's reference; None where one has no name. values: of its inputs."""
    if node.domain == STANDARD_DOMAIN and node.op_type in EVALUATORS:
        result = EVALUATORS[node.op_type](node, [values[name] if name else None for name in node.input])
        if result is not None:
            return [result]
    graph = onnx.helper.make_graph(
        [node],
        node.name,
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(node.input) if name],
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name],
    )
    opsets = [onnx.helper.make_opsetid(node.domain, opset)]
    evaluator = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=opsets))
    results = iter(evaluator.run(None, {name: values[name] for name in node.input if name}))
    return [np.asarray(next(results)) if name else None for name in node.output]


def known_values(graph: onnx.GraphProto, opset: int) -> dict[str, Array]:
    """Values by name. Shapes must be recorded in `graph`; large values are left out."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shapes = static_shapes(graph)
    for node in graph.node:
        if node.domain == STANDARD_DOMAIN and node.op_type in ("Shape", "Size") and node.input[0] in shapes:
            shape = np.empty(shapes[node.input[0]], np.bool_)
            given = {node.input[0]: shape}
        elif all(name in values for name in node.input if name) and _is_foldable(node):
            given = values
        else:
            continue
        results = evaluate(node, opset, given)
        for name, value in zip(node.output, results, strict=True):
            if value is not None and value.size <= _MOST_ELEMENTS:
                values[name] = value
    return values


def static_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """The shapes recorded in `graph` that are static, by name."""
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {value.name: shape for value in values if (shape := static_shape(value)) is not None}
    return {**shapes, **{tensor.name: tuple(tensor.dims) for tensor in graph.initializer}}


def _is_foldable(node: onnx.NodeProto) -> bool:
    standard = node.domain == STANDARD_DOMAIN and node.op_type not in RANDOM_OPERATORS
    return standard and not any(True for _ in bodies(node))
