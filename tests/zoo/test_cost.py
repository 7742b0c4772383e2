"""Parameters and multiply-adds against the figures the networks' authors publish."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from shiftc import zoo
from shiftc.zoo.graph_builder import GraphBuilder

ROUNDED = 0.02
"""Published figures have two or three digits."""

PARAMETER_TOLERANCE = {
    "shiftnet-a": 0.03,  # 4.19 M, of which 4.16 M are weights; the paper cuts to 4.1 M
    "shiftnet-b": 0.08,  # 1.18 M, of which 1.17 M are weights; the paper cuts to 1.1 M
    "shufflenetv2-0.5": 0.025,  # 1.37 M, rounded to 1.4 M
    "mobilenetv2": 0.04,  # 3.50 M as every implementation has it; the paper says 3.4 M
    "shiftresnet20-e1": 0.17,  # 0.035 M, cut to 0.03 M
    "shiftresnet20-e3": 0.0,
    "shiftresnet56-e1": 0.025,  # 0.102 M, rounded to 0.10 M
    "resnet50": 0.0,
}

EXPANSIONS = tuple(f"shiftresnet{depth}-e{e}" for depth in (20, 56, 110) for e in (1, 3, 9))


@pytest.fixture(scope="module")
def costs() -> dict[str, zoo.Cost]:
    return {name: zoo.count(zoo.build(name)) for name in (*zoo.names(), *EXPANSIONS)}


@pytest.mark.parametrize("name", [*zoo.names(), *EXPANSIONS])
def test_published_figures(name: str, costs: dict[str, zoo.Cost]) -> None:
    published = zoo.published(name)
    if published.parameters is not None:
        tolerance = PARAMETER_TOLERANCE.get(name, ROUNDED)
        assert costs[name].parameters == pytest.approx(published.parameters, rel=tolerance)
    if published.macs is not None:
        assert costs[name].macs == pytest.approx(published.macs, rel=ROUNDED)


def test_most_networks_have_published_figures() -> None:
    without = [name for name in zoo.names() if zoo.published(name).parameters is None]
    assert without == [
        "shiftnet-sc2",
        "compconv-vgg16",
        "compconv-resnet50",
        "asmlp-like",
        "roll-like",
        "shiftvit-like",
    ]


def test_the_second_shift_of_sc2_is_free(costs: dict[str, zoo.Cost]) -> None:
    assert costs["shiftnet-sc2"] == costs["shiftnet-a"]


def test_batch_multiplies_macs_alone(costs: dict[str, zoo.Cost]) -> None:
    batched = zoo.count(zoo.build("shiftresnet20", batch=3))
    assert batched == zoo.Cost(costs["shiftresnet20"].parameters, 3 * costs["shiftresnet20"].macs)


def test_counting_by_hand() -> None:
    graph = GraphBuilder("small", (1, 4, 6, 6), np.random.default_rng(0))
    x = graph.batch_norm(graph.conv(graph.input, 8, 3, stride=2, groups=2))
    model = graph.model(graph.linear(graph.global_average_pool(graph.relu(x)), 5))
    conv, norm, gemm = 8 * 2 * 9, 2 * 8, 8 * 5 + 5
    assert zoo.count(model) == zoo.Cost(conv + norm + gemm, conv * 9 + 40)


def test_only_one_hot_kernels_are_free() -> None:
    weight = np.zeros((4, 1, 3, 3), np.float32)
    weight[:, 0, 1, 2] = 1
    assert zoo.count(_depthwise(weight)) == zoo.Cost(0, 0)
    for spoilt in (weight * 2, np.ones_like(weight)):
        assert zoo.count(_depthwise(spoilt)) == zoo.Cost(36, 36 * 25)


def _depthwise(weight: np.ndarray) -> onnx.ModelProto:
    graph = GraphBuilder("depthwise", (1, 4, 5, 5), np.random.default_rng(0))
    return graph.model(graph.conv_with(graph.input, weight, groups=4))
