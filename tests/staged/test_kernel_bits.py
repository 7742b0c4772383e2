"""The reference executor has the bits of compiled kernels, where convolutions are direct."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings

import shiftc
from shiftc import zoo
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from shiftc.staged_file import read_staged
from tests.staged.programs import CASES, ConvAdd
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


@pytest.mark.parametrize(
    "name", ["channel_shuffle3", "csc_downsample", "mobilenet_v2", "pooling", "resnet", "shift_bn_relu_conv"]
)
def test_exported_models(name: str, tmp_path: Path) -> None:
    _check(MODELS / f"{name}.dynamo.onnx", tmp_path)


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
