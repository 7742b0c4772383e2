"""Parameters and multiply-adds of a model, counted as papers count them."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference


@attrs.frozen
class Cost:
    """parameters: learnable values; macs: multiply-adds of convolutions and matrix products."""

    parameters: int
    macs: int


@attrs.frozen
class Published:
    """Figures from the literature, None where the authors give none."""

    parameters: float | None
    macs: float | None
    source: str


def count(model: onnx.ModelProto) -> Cost:
    """Cost of a model with static shapes.

    Weights and biases of Conv, Gemm and MatMul count as parameters, and so do scale and bias of
    BatchNormalization (its running statistics are not learnt). A shift, a depthwise Conv whose
    kernels are all one-hot, costs nothing, in keeping with its authors.
    """
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    weights = {tensor.name: tensor for tensor in inferred.initializer}
    parameters = macs = 0
    for node in inferred.node:
        learnt = [weights[name] for name in _learnt_inputs(node) if name in weights]
        if node.op_type == "Conv" and len(learnt) == 1 and _is_one_hot(numpy_helper.to_array(learnt[0])):
            continue
        parameters += sum(math.prod(tensor.dims) for tensor in learnt)
        if node.op_type in _MACS_PER_OUTPUT and learnt:
            macs += math.prod(shapes[node.output[0]]) * _MACS_PER_OUTPUT[node.op_type](learnt[0].dims, node)
    return Cost(parameters, macs)


def _learnt_inputs(node: onnx.NodeProto) -> list[str]:
    if node.op_type in ("Conv", "Gemm", "MatMul"):
        return list(node.input[1:])
    return list(node.input[1:3]) if node.op_type == "BatchNormalization" else []


def _is_one_hot(kernels: NDArray[Any]) -> bool:
    taps = kernels.reshape(len(kernels), -1)
    depthwise = kernels.shape[1] == 1 and taps.shape[1] > 1
    return bool(depthwise and np.isin(taps, (0, 1)).all() and (taps.sum(axis=1) == 1).all())


def _gemm_reduction(dims: Any, node: onnx.NodeProto) -> int:
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return int(dims[1] if transposed else dims[0])


_MACS_PER_OUTPUT = {
    "Conv": lambda dims, node: math.prod(dims[1:]),
    "Gemm": _gemm_reduction,
    "MatMul": lambda dims, node: int(dims[-2]),
}
