"""The same network however it is compiled: other instruction sets, threads, passes left out, batches."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from shiftc import zoo
from shiftc.options import PassOptions

from .agreement import TOLERANCE, agreement

NETWORKS = ("shiftresnet20", "shufflenetv2-0.5", "roll-like")


@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(request.param, tmp_path_factory.mktemp(request.param))


def _write(name: str, folder: Path, batch: int = 1) -> Path:
    path = folder / "model.onnx"
    onnx.save(zoo.build(name, batch=batch), path)
    return path


@pytest.mark.parametrize("target", ["llvm -mcpu=haswell", "llvm -mcpu=x86-64"])
def test_narrower_vectors(model: Path, target: str, tmp_path: Path) -> None:
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


def test_every_pass_verified(tmp_path: Path) -> None:
    model = _write("shiftresnet20", tmp_path)
    assert agreement(model, tmp_path, passes=PassOptions(verify=True)).error <= TOLERANCE


@pytest.mark.parametrize("name", [*NETWORKS, "vargnet"])
def test_batch_of_three(name: str, tmp_path: Path) -> None:
    assert agreement(_write(name, tmp_path, batch=3), tmp_path).error <= TOLERANCE
