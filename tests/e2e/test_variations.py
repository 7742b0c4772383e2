"""The same network however it is compiled: other instruction sets, threads, passes left out, batches.

Small exported networks each time; networks of the zoo, of which they are excerpts, where minutes are allowed.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from tvm.target import Target

from shiftc import zoo
from shiftc.options import PassOptions
from tests.machines import AVX2, SSE2

from .agreement import TOLERANCE, agreement

MODELS = Path(__file__).parents[1] / "models"
SMALL = ("one_hot_csc", "shufflenet_v2", "cyclic_shift")
"""Shifts behind activations; channels split, shuffled and concatenated; wrapped borders."""
NETWORKS = ("shiftresnet20", "shufflenetv2-0.5", "roll-like")


def _exported(name: str) -> Path:
    return MODELS / f"{name}.dynamo.onnx"


def _write(name: str, folder: Path, batch: int = 1) -> Path:
    path = folder / "model.onnx"
    onnx.save(zoo.build(name, batch=batch), path)
    return path


@pytest.fixture(
    scope="module", params=[*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS)]
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name: str = request.param
    return _exported(name) if name in SMALL else _write(name, tmp_path_factory.mktemp(name))


@pytest.mark.parametrize("target", [AVX2, SSE2], ids=["avx2", "sse2"])
def test_narrower_vectors(model: Path, target: Target, tmp_path: Path) -> None:
    assert agreement(model, tmp_path, target=target).error <= TOLERANCE


def test_two_threads(model: Path, tmp_path: Path) -> None:
    assert agreement(model, tmp_path, threads=2).error <= TOLERANCE


def test_without_optimisation(model: Path, tmp_path: Path) -> None:
    result = agreement(model, tmp_path, passes=PassOptions(level=0))
    assert result.error <= TOLERANCE


@pytest.mark.parametrize("name", ["recognize", "commute", "fold"])
def test_without_one_pass(model: Path, name: str, tmp_path: Path) -> None:
    result = agreement(model, tmp_path, passes=PassOptions(disabled=(name,)))
    assert result.error <= TOLERANCE
    if name == "recognize":
        assert result.manifest.index_maps == ()


@pytest.mark.parametrize("name", ["shift_relu_conv", pytest.param("shiftresnet20", marks=pytest.mark.slow)])
def test_every_pass_verified(name: str, tmp_path: Path) -> None:
    model = _write(name, tmp_path) if name in NETWORKS else _exported(name)
    assert agreement(model, tmp_path, passes=PassOptions(verify=True)).error <= TOLERANCE


@pytest.mark.parametrize("name", ["one_hot_csc", "shufflenet_v2"])
def test_any_batch(name: str, tmp_path: Path) -> None:
    model = _exported(f"{name}_dynamic_batch")
    (image,) = onnx.load(model).graph.input
    planes = [dimension.dim_value for dimension in image.type.tensor_type.shape.dim[1:]]
    assert agreement(model, tmp_path, {image.name: (3, *planes)}).error <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, "vargnet"])
def test_batch_of_three(name: str, tmp_path: Path) -> None:
    assert agreement(_write(name, tmp_path, batch=3), tmp_path).error <= TOLERANCE
