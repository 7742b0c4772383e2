"""Resizes and pools of all kinds, compiled into one program, beside onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.e2e.agreement import TOLERANCE, agreement

SHAPE = (1, 12, 9, 7)

NODES: dict[str, tuple[str, dict[str, Any], list[float]]] = {
    "bilinear": ("Resize", {"mode": "linear"}, [1, 1, 2, 2]),
    "not_whole": ("Resize", {"mode": "linear"}, [1, 1, 1.5, 2.5]),
    "nearest": ("Resize", {"mode": "nearest"}, [1, 1, 2, 2]),
    "ties": ("Resize", {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}, [1, 1, 1.5, 1.5]),
    "every_second": (
        "Resize",
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        [1, 1, 0.5, 0.5],
    ),
    "cubic": ("Resize", {"mode": "cubic", "exclude_outside": 1}, [1, 1, 0.6, 1.7]),
    "antialiased": ("Resize", {"mode": "linear", "antialias": 1}, [1, 1, 0.3, 0.4]),
    "rows_last": ("Resize", {"mode": "linear"}, [1, 2, 2, 1]),
    "dilated": ("MaxPool", {"kernel_shape": [2, 3], "dilations": [2, 2], "pads": [1, 2, 1, 0]}, []),
    "average": (
        "AveragePool",
        {
            "kernel_shape": [3, 3],
            "strides": [2, 2],
            "pads": [1] * 4,
            "ceil_mode": 1,
            "count_include_pad": 1,
        },
        [],
    ),
    "norm": ("LpPool", {"kernel_shape": [3, 2], "strides": [2, 1]}, []),
}


def test_all_of_them(tmp_path: Path) -> None:
    nodes, weights, outputs = [], [], []
    for name, (operator, attributes, scales) in NODES.items():
        inputs = ["x"]
        if scales:
            weights.append(helper.make_tensor(f"{name}_scales", TensorProto.FLOAT, [4], scales))
            inputs += ["", f"{name}_scales"]
        nodes += [
            helper.make_node(operator, inputs, [f"{name}_plain"], **attributes),
            helper.make_node("Relu", [f"{name}_plain"], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)]
    graph = helper.make_graph(nodes, "resizes", given, outputs, weights)
    model = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9), model)
    result = agreement(model, tmp_path)
    assert result.error <= TOLERANCE
    kinds = [kernel.kind for kernel in result.manifest.kernels]
    assert kinds.count("window_pool") >= len(NODES) - 1, "each is a stage, but for the one that is a slice"
