"""The reference executor has the bits of compiled kernels, where convolutions are direct."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper, numpy_helper

import shiftc
from shiftc import zoo
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from shiftc.staged_file import read_staged
from tests.staged.programs import CASES, ConvAdd, random_values
from tvm_passes.staged.execute import execute

MODELS = Path(__file__).parents[1] / "models"
DIRECT = PassOptions(winograd=False, pairing=False, h_tiles=3)


def _check(model: Path, folder: Path, passes: PassOptions = DIRECT, threads: int = 1) -> None:
    """The staged program that `compile` writes computes what the artifact computes, bit for bit."""
    options = CompileOptions(
        ModelOptions(model, threads=threads), folder / "artifact", passes, folder / "net.json"
    )
    compile_model(options)
    session, staged = shiftc.load(folder / "artifact"), read_staged(folder / "net.json")
    inputs = {
        spec.name: np.random.default_rng(0).standard_normal(spec.shape).astype(spec.dtype)
        for spec in session.signature.inputs
    }
    outputs = execute(staged.program, staged.weights, inputs)
    for name, expected in session.run(inputs).items():
        assert outputs[name].tobytes() == np.asarray(expected).tobytes(), name


SLOW = ("addressnet", "channel_shuffle3", "csc_downsample", "densenet", "dilated_conv", "temporal_shift")


@pytest.mark.parametrize(
    "name",
    [
        *("mobilenet_v2", "pooling", "resnet", "shift_bn_relu_conv"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
    ],
)
def test_exported_models(name: str, tmp_path: Path) -> None:
    _check(MODELS / f"{name}.dynamo.onnx", tmp_path)


def _network(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Of x, and of r, which is added: [1, 12, 9, 7] each, as y is."""
    shape = (1, 12, 9, 7)
    inputs, output = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
        for names in (("x", "r"), ("y",))
    )
    held = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "network", inputs, output, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _scaled() -> onnx.ModelProto:
    """A product in front of the Add, which kernels round with it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["m"]),
        helper.make_node("Mul", ["m", "s"], ["p"]),
        helper.make_node("Add", ["r", "p"], ["y"]),
    ]
    return _network(nodes, {"w": random_values((12, 12, 3, 3), 0), "s": random_values((12, 1, 1), 1)})


def _depthwise() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], group=12, pads=[2] * 4, dilations=[2, 2]),
        helper.make_node("Add", ["c", "r"], ["y"]),
    ]
    return _network(nodes, {"w": random_values((12, 1, 3, 3), 0), "b": random_values((12,), 1)})


def _zeros_among_channels() -> onnx.ModelProto:
    """Channels that read nothing, which kernels leave out."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Pad", ["a", "pads"], ["p"]),
        helper.make_node("Conv", ["p", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Add", ["c", "r"], ["y"]),
    ]
    pads = np.array([0, 5, 0, 0, 0, 4, 0, 0], np.int64)
    return _network(nodes, {"pads": pads, "w": random_values((12, 21, 3, 3), 0)})


@pytest.mark.parametrize("network", [_scaled, _depthwise, _zeros_among_channels])
def test_small_networks(network: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "model.onnx")
    _check(tmp_path / "model.onnx", tmp_path)


def _check_case(case: ConvAdd, folder: Path) -> None:
    onnx.save(case.onnx(), folder / "case.onnx")
    _check(folder / "case.onnx", folder, attrs.evolve(DIRECT, chain=1))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(CASES)
def test_conv_add(tmp_path_factory: pytest.TempPathFactory, case: ConvAdd) -> None:
    _check_case(case, tmp_path_factory.mktemp("case"))


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(CASES)
def test_many_conv_add(tmp_path_factory: pytest.TempPathFactory, case: ConvAdd) -> None:
    _check_case(case, tmp_path_factory.mktemp("case"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "shiftresnet110", "mobilenetv2"])
@pytest.mark.parametrize("threads", [1, 2])
def test_networks(name: str, threads: int, tmp_path: Path) -> None:
    """In chains and on several threads, too."""
    onnx.save(zoo.build(name), tmp_path / "model.onnx")
    _check(tmp_path / "model.onnx", tmp_path, attrs.evolve(DIRECT, h_tiles=None), threads)
