"""The main road: compile, run, inspect and bench a small model from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import shiftc
from shiftc.cli import main
from tests.shiftc.models import CHANNELS, SIZE, save, shift_network, shift_operator_network

SHAPES = f"x:[1,{CHANNELS},{SIZE},{SIZE}]"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(shift_network(), tmp_path_factory.mktemp("models") / "model.onnx")


@pytest.fixture(scope="module")
def compiled(model: Path) -> Path:
    output = model.with_suffix("")
    assert main(["compile", str(model), "-o", str(output)], {}) == 0
    return output


def _input() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)


def _reference(model: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_the_artifact_computes_the_model(model: Path, compiled: Path) -> None:
    x = _input()
    y = shiftc.load(compiled).run({"x": x})["y"]
    expected = _reference(model, x)
    assert np.abs(y - expected).max() <= 1e-4 * np.abs(expected).max()


def test_compiling_twice_writes_the_same(model: Path, compiled: Path, tmp_path: Path) -> None:
    assert main(["compile", str(model), "-o", str(tmp_path / "again")], {}) == 0
    for file in ("manifest.json", "model.so", "constants.bin"):
        assert (tmp_path / "again" / file).read_bytes() == (compiled / file).read_bytes(), file


def test_compile_says_what_it_did(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--print-pass-times", "--dump-ir", str(tmp_path / "ir"), "--verify-passes"]
    assert main(["compile", str(model), "-o", str(tmp_path / "out"), *arguments], {}) == 0
    out = capsys.readouterr().out
    assert "1 of 1 index maps folded" in out
    assert "recognize" in out
    assert any((tmp_path / "ir").iterdir())


def test_dynamic_shapes_are_pinned(tmp_path: Path) -> None:
    path = save(shift_network(size="S"), tmp_path / "dynamic.onnx")
    assert main(["compile", str(path), "-o", str(tmp_path / "out"), "--input-shapes", SHAPES], {}) == 0
    x = _input()
    expected = _reference(path, x)
    y = shiftc.load(tmp_path / "out").run({"x": x})["y"]
    assert np.abs(y - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("from_model", [True, False])
def test_inspect_json(
    model: Path, compiled: Path, capsys: pytest.CaptureFixture[str], from_model: bool
) -> None:
    assert main(["inspect", str(model if from_model else compiled), "--json"], {}) == 0
    report = json.loads(capsys.readouterr().out)
    (index_map,) = report["index_maps"]
    assert index_map["nodes"] == ["shift"]
    assert index_map["channels"] == CHANNELS
    assert index_map["border"] == "zero"
    assert index_map["folded"] is True
    assert index_map["reason"] is None
    assert set(report["kernels"][0]) >= {"name", "kind", "moves_only", "macs", "bytes"}
    assert not any(kernel["moves_only"] for kernel in report["kernels"] if kernel["kind"] != "layout")
    traffic = report["traffic"]
    assert traffic["reread"] == sum(kernel["reread"] for kernel in report["kernels"]) == 0
    assert traffic["cache_bytes"] >= 1 << 18 and traffic["read"] > 0 and traffic["written"] > 0
    assert report["macs"] == sum(kernel["macs"] for kernel in report["kernels"]) == 4 * CHANNELS * SIZE**2


def test_inspect_for_people(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(compiled)], {"COLUMNS": "100"}) == 0
    out = capsys.readouterr().out
    assert "x: float32[1, 9, 6, 6]" in out
    assert "1 index maps found, 1 folded, 0 refused" in out
    assert "0  re-read after eviction" in out
    assert all(len(line.rstrip()) <= 100 for line in out.splitlines()[:-1])


def test_where_traffic_was_not_counted(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(artifact)], {}) == 0
    assert "traffic" not in capsys.readouterr().out


@pytest.mark.parametrize(("domain", "flags"), [("shiftc", []), ("lab", ["--shift-operator", "lab::Shift"])])
def test_shift_as_a_custom_operator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], domain: str, flags: list[str]
) -> None:
    """Runtimes that do not know the operator are timed on what it was lowered to."""
    path = save(shift_operator_network(domain), tmp_path / "model.onnx")
    assert main(["inspect", str(path), "--json", *flags], {}) == 0
    (index_map,) = json.loads(capsys.readouterr().out)["index_maps"]
    assert index_map["folded"]
    assert main(["bench", str(path), "--json", "-", *flags], {}) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert comparison["runtimes"]["onnxruntime"]["failure"] is None
    assert comparison["runtimes"]["shiftc"]["error"] <= 1e-4


def test_a_peer_that_cannot_run_the_model_is_reported(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("beads\nonly")

    monkeypatch.setattr("shiftc.bench.onnxruntime_peer.load", refuse)
    assert main(["bench", str(model), "--json", "-"], {}) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert comparison["runtimes"]["onnxruntime"]["failure"] == "RuntimeError: beads only"
    assert comparison["ratios"] == {}


def test_bench_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", str(model), "--against", "onnxruntime,tvm", "--threads", "1", "--json", "-"]
    assert main(arguments, {}) == 0
    report = json.loads(capsys.readouterr().out)
    (comparison,) = report["comparisons"]
    assert set(comparison["runtimes"]) == {"shiftc", "onnxruntime", "tvm"}
    assert set(comparison["ratios"]) == {"onnxruntime", "tvm"}
    assert comparison["runtimes"]["shiftc"]["error"] <= 1e-4
    assert comparison["runtimes"]["onnxruntime"]["version"] == onnxruntime.__version__
    assert comparison["fma_peak_gflops"] > 0
    assert report["machine"]["cores"] >= 1


def test_bench_writes_a_file(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(model), "--json", str(tmp_path / "report.json")], {}) == 0
    assert json.loads((tmp_path / "report.json").read_text())["model"] == "model.onnx"
    assert "onnxruntime" in capsys.readouterr().out


def test_zoo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "--list"], {}) == 0
    assert "shiftresnet20" in capsys.readouterr().out.split()
    path = tmp_path / "network.onnx"
    assert main(["zoo", "shiftresnet20-e3", "-o", str(path)], {}) == 0
    assert "95.64 kparameters" in capsys.readouterr().out
    onnx.checker.check_model(str(path))


def test_inspect_says_why_a_network_takes_one_thread(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(model), "-o", str(tmp_path / "out"), "--threads", "2"], {}) == 0
    assert main(["inspect", str(tmp_path / "out")], {}) == 0
    assert "threads: 1 (2 would not make it faster)" in capsys.readouterr().out
