"""Pools over windows and planes: drawn at random, and the smallest cases of every kind of fault."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from frontends import import_model
from frontends.errors import OperatorImportError
from tests.frontends.relax_numpy import evaluate
from tests.frontends.test_resize import TYPES, agrees, drawn

Array = np.ndarray[Any, Any]
RANDOM_CASES = 150


def pool(
    operator: str, shape: tuple[int, ...], *, opset: int = 13, dtype: str = "float32", **attributes: Any
) -> onnx.ModelProto:
    """A model of one node, x to y, and to the indices where the storage order is stated."""
    with_indices = "storage_order" in attributes
    outputs = [helper.make_tensor_value_info("y", TYPES[dtype], None)]
    outputs += [helper.make_tensor_value_info("i", TensorProto.INT64, None)] if with_indices else []
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], [output.name for output in outputs], **attributes)],
        "pool",
        [helper.make_tensor_value_info("x", TYPES[dtype], shape)],
        outputs,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ours(model: onnx.ModelProto, x: Array, folder: Path) -> list[Array]:
    """What the imported model computes."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    return evaluate(import_model(path).module, [x])


def onnxruntimes(model: onnx.ModelProto, x: Array) -> list[Array]:
    """Raises what onnxruntime raises."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"x": x}))


def draw(seed: int) -> tuple[onnx.ModelProto, tuple[int, ...], str]:
    """A pool whose every attribute is drawn; its windows fit, and no automatic padding is dilated.

    There onnxruntime leaves the dilation out of the padding, against ONNX's text.
    """
    chosen = random.Random(seed)
    operator = chosen.choice(["MaxPool"] * 3 + ["AveragePool"] * 3 + ["LpPool"] * 2 + list(_GLOBAL))
    opset, axes = chosen.choice([8, 10, 12, 13, 18, 19, 22]), chosen.choice([1, 2, 2, 2, 3])
    types = ["float32"] * 4 + ["float64", "float16"]
    dtype = chosen.choice([*types, "int8", "uint8"] if operator == "MaxPool" and opset >= 12 else types)
    sizes = [chosen.randint(4, 9) for _ in range(axes)]
    shape = (chosen.randint(1, 2), chosen.randint(1, 3), *sizes)
    attributes: dict[str, Any] = {}
    if operator in ("LpPool", "GlobalLpPool"):
        attributes["p"] = chosen.choice([1, 2, 3])
    if operator not in _GLOBAL:
        kernel = [chosen.randint(1, 4) for _ in range(axes)]
        attributes |= {"kernel_shape": kernel, "strides": [chosen.randint(1, 3) for _ in range(axes)]}
        automatic = chosen.random() < 0.3
        if automatic:
            attributes["auto_pad"] = chosen.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
        else:
            attributes["pads"] = [chosen.randint(0, size - 1) for size in kernel * 2]
        if not automatic and opset >= _FIRST_DILATED[operator] and chosen.random() < 0.4:
            attributes["dilations"] = [
                chosen.randint(1, 1 if size == 1 else min(3, (extent - 1) // (size - 1)))
                for size, extent in zip(kernel, sizes, strict=True)
            ]
        if not automatic and opset >= _FIRST_CEIL[operator]:
            attributes["ceil_mode"] = chosen.randint(0, 1)
        if operator == "AveragePool":
            attributes["count_include_pad"] = chosen.randint(0, 1)
        if operator == "MaxPool" and chosen.random() < 0.4:
            attributes["storage_order"] = chosen.randint(0, 1)
    return pool(operator, shape, opset=opset, dtype=dtype, **attributes), shape, dtype


_GLOBAL = ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")
_FIRST_DILATED = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}
_FIRST_CEIL = {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}


@pytest.mark.parametrize("block", range(3))
def test_random_pools(block: int, tmp_path: Path) -> None:
    judged = 0
    for seed in range(block * RANDOM_CASES // 3, (block + 1) * RANDOM_CASES // 3):
        model, shape, dtype = draw(seed)
        x = drawn(shape, dtype, seed)
        try:
            expected = onnxruntimes(model, x)
        except Exception:  # onnxruntime lacks some types; its errors have no common class
            expected = []
        actual = ours(model, x, tmp_path)
        judged += bool(expected)
        for mine, answer in zip(actual, expected, strict=False):
            kind = dtype if answer.dtype != np.int64 else "int64"
            assert agrees(mine, answer, kind), (seed, model.graph.node[0])
            assert kind != "int64" or (mine == answer).all(), (seed, model.graph.node[0])
    assert judged > 0.7 * RANDOM_CASES / 3


WHOLE: dict[str, tuple[onnx.ModelProto, tuple[int, ...]]] = {
    name: (pool(operator, shape, opset=22, **attributes), shape)
    for name, operator, shape, attributes in (
        (
            "taps in the padding are none",
            "MaxPool",
            (1, 1, 5, 5),
            {"dilations": [2, 2], "kernel_shape": [2, 2], "pads": [1, 1, 1, 1]},
        ),
        (
            "no window starts in the padding at the end",
            "MaxPool",
            (1, 1, 2, 2),
            {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1},
        ),
        (
            "what reaches beyond the padding does not count",
            "AveragePool",
            (1, 1, 4, 4),
            {
                "kernel_shape": [3, 3],
                "strides": [2, 2],
                "pads": [1, 1, 1, 1],
                "ceil_mode": 1,
                "count_include_pad": 1,
            },
        ),
        (
            "a dilated average",
            "AveragePool",
            (1, 2, 7, 6),
            {"kernel_shape": [2, 3], "dilations": [3, 2], "pads": [1, 0, 0, 2]},
        ),
        ("places of maxima", "MaxPool", (2, 2, 5, 4), {"kernel_shape": [2, 3], "storage_order": 1}),
        (
            "more padding than is reached",
            "MaxPool",
            (1, 1, 7),
            {"kernel_shape": [3], "strides": [3], "pads": [0, 2]},
        ),
    )
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_kind_of_fault(name: str, tmp_path: Path) -> None:
    model, shape = WHOLE[name]
    x = drawn(shape, "float32")
    for mine, answer in zip(ours(model, x, tmp_path), onnxruntimes(model, x), strict=True):
        np.testing.assert_allclose(mine, answer, rtol=1e-5, atol=1e-6)


def test_automatic_padding_knows_of_dilation(tmp_path: Path) -> None:
    """As ONNX has it: as many windows as strides fit."""
    model = pool(
        "MaxPool", (1, 1, 6, 4), kernel_shape=[2, 2], strides=[2, 1], dilations=[3, 2], auto_pad="SAME_UPPER"
    )
    x = drawn((1, 1, 6, 4), "float32")
    (expected,) = ReferenceEvaluator(
        pool(
            "MaxPool", (1, 1, 6, 4), kernel_shape=[2, 2], strides=[2, 1], dilations=[3, 2], pads=[1, 1, 1, 1]
        )
    ).run(None, {"x": x})
    (actual,) = ours(model, x, tmp_path)
    assert actual.shape == (1, 1, 3, 4)
    np.testing.assert_array_equal(actual[:, :, :, 0], expected[:, :, : actual.shape[2], 0])


REFUSED = {
    "its window is larger than its input with the padding": pool("MaxPool", (1, 1, 2), kernel_shape=[3]),
    "one of its windows has only padding, whose average is not defined": pool(
        "AveragePool", (1, 1, 1), opset=22, kernel_shape=[2], dilations=[2], pads=[1, 1], strides=[1]
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused(reason: str, tmp_path: Path) -> None:
    model = REFUSED[reason]
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    with pytest.raises(OperatorImportError, match=reason):
        ours(model, np.zeros(shape, np.float32), tmp_path)


WINDOWS_TOO_MANY = {
    "without padding": ((3, 3), [1, 1], [3, 3], [0, 0, 0, 0]),
    "padded": ((5, 5), [2, 2], [3, 3], [1, 1, 1, 1]),
    "padded along rows": ((5, 6), [2, 2], [3, 3], [1, 0, 1, 1]),
    "along rows alone, a last one cut along columns": ((5, 6), [2, 3], [3, 2], [1, 0, 1, 0]),
}
"""Planes, kernels, strides and pads with which ONNX's inference sees a window that is none."""


@pytest.mark.parametrize(
    ("operator", "more", "name"),
    [("AveragePool", {"count_include_pad": 1}, name) for name in WINDOWS_TOO_MANY]
    + [
        (operator, {}, name) for operator in ("AveragePool", "LpPool", "MaxPool") for name in WINDOWS_TOO_MANY
    ],
)
def test_no_window_that_inference_alone_sees(
    operator: str, more: dict[str, int], name: str, tmp_path: Path
) -> None:
    """Exporters declare as many windows as there are; what is computed of the shape knows them, too."""
    shape, kernel, strides, pads = WINDOWS_TOO_MANY[name]
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "ceil_mode": 1, **more}
    model = pool(operator, (1, 2, *shape), opset=18, **attributes)
    x = np.random.default_rng(0).standard_normal((1, 2, *shape)).astype("float32")
    (pooled,) = onnxruntimes(model, x)
    declared = helper.make_tensor_value_info("y", TensorProto.FLOAT, pooled.shape)
    model.graph.node[0].input[0] = "r"
    model.graph.node.insert(0, helper.make_node("Neg", ["x"], ["r"]))
    model.graph.node.append(helper.make_node("Shape", ["y"], ["sizes"]))
    model.graph.node.append(helper.make_node("Cast", ["sizes"], ["numbers"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("ReduceSum", ["numbers"], ["all"], keepdims=0))
    model.graph.node.append(helper.make_node("Mul", ["y", "all"], ["z"]))
    del model.graph.output[:]
    read = helper.make_tensor_value_info("r", TensorProto.FLOAT, x.shape)
    model.graph.output.extend([read, declared, helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    want = pooled * np.float32(sum(pooled.shape))
    got = ours(model, -x, tmp_path)
    assert agrees(got[1], pooled, "float32")
    assert agrees(got[2], want, "float32")
