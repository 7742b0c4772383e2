"""Every network of the zoo: compiles and agrees with onnxruntime; what must cost nothing has no kernel.

The smallest of a family each time; its larger members, and families of which `tests/models` has excerpts,
where minutes are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from shiftc import zoo
from tvm_passes.separate import REASON as SEPARATED

from .agreement import TOLERANCE, Agreement, agreement

SMALLEST = ("shiftresnet20", "shiftnet-c", "shufflenetv2-0.5", "roll-like")
FULLY_FOLDED = ("shiftresnet20", "shiftnet-c", "shiftresnet56", "shiftresnet110", "shiftnet-a")
ARITHMETIC = ("Conv", "Gemm", "MatMul")
STRIDED_COPIES = {"compconv-resnet50": 5}
"""Identity copies of a strided CompConv, concatenated with channels that are read without a stride."""
POOLING = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")


def _is_shift(weight: np.ndarray) -> bool:
    """A depthwise kernel with exactly one 1 in each filter."""
    filters = weight.reshape(len(weight), -1)
    one_hot = ((filters != 0).sum(axis=1) == 1).all() and (filters.max(axis=1) == 1).all()
    return weight.ndim == 4 and weight.shape[1] == 1 and weight.shape[2] > 1 and bool(one_hot)


def _at_a_time(names: Sequence[str]) -> list[object]:
    """The names, those of large networks marked as slow."""
    return [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module", params=_at_a_time(zoo.names()))
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Agreement]:
    folder = tmp_path_factory.mktemp(request.param)
    onnx.save(zoo.build(request.param), folder / "model.onnx")
    return request.param, agreement(folder / "model.onnx", folder)


def test_agrees_with_onnxruntime(compiled: tuple[str, Agreement]) -> None:
    _, result = compiled
    assert result.error <= TOLERANCE


def test_all_movement_is_folded(compiled: tuple[str, Agreement]) -> None:
    name, result = compiled
    refused = [m for m in result.manifest.index_maps if not m["folded"]]
    assert [m["nodes"] for m in refused if m["reason"] != SEPARATED] == []
    assert len(refused) == STRIDED_COPIES.get(name, 0)


def test_no_kernel_only_moves_data(compiled: tuple[str, Agreement]) -> None:
    name, result = compiled
    moving = [k for k in result.manifest.kernels if k.moves_only]
    if name == "roll-like":  # a wrapped border is written into the halo
        moving = [k for k in moving if not k.stage.startswith("halo")]
    copies = [k for k in moving if k.kind != "layout"]
    assert len(copies) == STRIDED_COPIES.get(name, 0), [k.stage for k in copies]
    assert len(moving) - len(copies) <= 1, [k.stage for k in moving]  # of the output


@pytest.mark.parametrize("compiled", _at_a_time(FULLY_FOLDED), indirect=True)
def test_no_more_kernels_than_arithmetic(compiled: tuple[str, Agreement]) -> None:
    name, result = compiled
    graph = zoo.build(name).graph
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    arithmetic = sum(n.op_type in ARITHMETIC and not _is_shift(weights[n.input[1]]) for n in graph.node)
    pooling = sum(n.op_type in POOLING for n in graph.node)
    assert len(result.manifest.kernels) <= arithmetic + pooling + 1
