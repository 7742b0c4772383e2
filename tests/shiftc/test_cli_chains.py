"""Chains from the command line: as many stages and tiles as asked for, within the memory that is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import shiftc
from shiftc.cli import main
from shiftc.exit_status import ExitStatus
from tests.shiftc.models import bottleneck_network, save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(bottleneck_network(), tmp_path_factory.mktemp("models") / "model.onnx")


def compiled(model: Path, output: Path, *flags: str) -> tuple[list[str], int]:
    """The names of the artifact's kernels, and the size of its arena."""
    assert main(["compile", str(model), "-o", str(output), *flags], {}) == 0
    manifest = json.loads((output / "manifest.json").read_text())
    return [kernel["name"] for kernel in manifest["kernels"]], manifest["arena_bytes"]


def outputs(artifact: Path) -> np.ndarray:
    x = np.random.default_rng(3).standard_normal((1, 16, 24, 12)).astype(np.float32)
    return shiftc.load(artifact).run({"x": x})["y"]


def test_stages_and_tiles_are_chosen(model: Path, tmp_path: Path) -> None:
    off, arena = compiled(model, tmp_path / "off", "--chain", "off")
    assert not [name for name in off if name.startswith("chain")]
    expected = outputs(tmp_path / "off")
    for name, flags, chain in (
        ("three", ["--chain", "3", "--h-tiles", "4"], "chain_3x4"),
        ("two", ["--chain", "2", "--h-tiles", "6"], "chain_2x6"),
    ):
        kernels, smaller = compiled(model, tmp_path / name, *flags)
        assert chain in kernels
        assert smaller < arena
        assert np.abs(outputs(tmp_path / name) - expected).max() <= 1e-6 * np.abs(expected).max()
    assert compiled(model, tmp_path / "flat", "--chain", "3", "--h-tiles", "off") == (off, arena)


def test_the_default_is_auto(model: Path, tmp_path: Path) -> None:
    explicit = compiled(model, tmp_path / "auto", "--chain", "auto", "--h-tiles", "auto")
    assert compiled(model, tmp_path / "default") == explicit


def test_memory_is_limited(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the refusal names can be asked for, but not without chains."""
    allowed = ["compile", str(model), "--max-memory"]
    assert main([*allowed, "1000", "-o", str(tmp_path / "refused")], {}) == ExitStatus.MEMORY_EXCEEDED
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("shiftc: error: ") and error.count("\n") == 1
    words = error.split()
    assert words[-3:] == ["1000", "are", "allowed"]
    smallest = words[words.index("takes") + 1]
    assert not (tmp_path / "refused").exists()
    _, arena = compiled(model, tmp_path / "smallest", "--max-memory", smallest)
    assert arena <= int(smallest)
    flags = [smallest, "--chain", "off", "-o", str(tmp_path / "refused")]
    assert main([*allowed, *flags], {}) == ExitStatus.MEMORY_EXCEEDED


def test_inspect_says_how_a_chain_is_cut(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled(model, tmp_path / "three", "--chain", "3", "--h-tiles", "4")
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "three")], {}) == 0
    assert " chain_3x4 " in capsys.readouterr().out


def test_bench_takes_the_flags(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(model), "--chain", "3", "--rounds", "2", "--json", "-"], {}) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert comparison["runtimes"]["shiftc"]["error"] <= 1e-4
