"""Models of a single layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_SEED = 5


def layer(
    operator: str,
    shape: Sequence[int],
    weights: Sequence[Sequence[int]] = (),
    constants: Sequence[Any] = (),
    *,
    activation: str = "",
    element: int = TensorProto.FLOAT,
    outputs: int = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    """One operator on an input `x`.

    shape:      of x.
    weights:    shapes of the operands behind x; drawn at random, each row of them with a sum of about 1.
    constants:  operands behind these, as they are; None leaves one out.
    activation: operator behind it, if any.
    """
    rng = np.random.default_rng(_SEED)
    dtype = helper.tensor_dtype_to_np_dtype(element)
    operands = ["x"]
    initializers = []
    for number, size in enumerate(weights):
        scale = np.sqrt(np.prod(size[1:], initial=1.0))
        values = (rng.standard_normal(size, np.float32) / scale).astype(dtype)
        initializers.append(numpy_helper.from_array(values, f"w{number}"))
        operands.append(f"w{number}")
    for number, value in enumerate(constants):
        if value is not None:
            initializers.append(numpy_helper.from_array(np.asarray(value), f"c{number}"))
        operands.append("" if value is None else f"c{number}")
    names = [f"y{number}" for number in range(outputs)]
    results = [f"{name}_before" for name in names] if activation else names
    nodes = [helper.make_node(operator, operands, results, **attributes)]
    if activation:
        nodes += [helper.make_node(activation, [r], [y]) for r, y in zip(results, names, strict=True)]
    graph = helper.make_graph(
        nodes,
        operator,
        [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_empty_tensor_value_info(name) for name in names],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def convolution(
    inputs: int, outputs: int, kernel: tuple[int, int], plane: tuple[int, int], groups: int = 1, **rest: Any
) -> onnx.ModelProto:
    """Of stride 1 unless `rest` says otherwise, as large as its input, with bias and Relu."""
    around = [extent // 2 for extent in kernel]
    given = {"pads": [*around, *around], "group": groups, "activation": "Relu", **rest}
    return layer("Conv", (1, inputs, *plane), [(outputs, inputs // groups, *kernel), (outputs,)], **given)


def transposed(
    inputs: int, outputs: int, kernel: int, plane: int, groups: int = 1, **rest: Any
) -> onnx.ModelProto:
    """Of stride 2, with bias and Relu; twice as large as its input where the kernel is even."""
    around = [(kernel - 2) // 2] * 4
    given = {"pads": around, "strides": [2, 2], "group": groups, "activation": "Relu", **rest}
    shapes = [(inputs, outputs // groups, kernel, kernel), (outputs,)]
    return layer("ConvTranspose", (1, inputs, plane, plane), shapes, **given)
