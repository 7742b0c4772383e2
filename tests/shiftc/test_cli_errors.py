"""Whatever is wrong with what `compile` is given: one line, its own exit status, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from shiftc.cli import main
from shiftc.exit_status import ExitStatus
from tests.shiftc.models import save, shift_network, unsupported_network, with_external_data


def _not_onnx(path: Path) -> None:
    path.write_text("this is a letter, not a model\n" * 10)


def _truncated(path: Path) -> None:
    content = save(shift_network(), path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _missing_external_data(path: Path) -> None:
    save(with_external_data("weights.bin"), path)


def _external_data_outside(path: Path) -> None:
    (path.parent.parent / "secret.bin").write_bytes(bytes(16))
    save(with_external_data("../secret.bin"), path)


def _unknown_opset(path: Path) -> None:
    model = shift_network()
    model.opset_import[0].version = onnx.defs.onnx_opset_version() + 900
    save(model, path)


def _unsupported_operators(path: Path) -> None:
    save(unsupported_network(), path)


def _dynamic_shape(path: Path) -> None:
    save(shift_network(size="S"), path)


def _absent(_: Path) -> None:
    pass


def _fine(path: Path) -> None:
    save(shift_network(), path)


@pytest.mark.parametrize(
    ("prepare", "flags", "status", "words"),
    [
        (_absent, [], ExitStatus.MODEL_NOT_FOUND, ["model.onnx"]),
        (_not_onnx, [], ExitStatus.MODEL_NOT_ONNX, ["model.onnx"]),
        (_truncated, [], ExitStatus.MODEL_TRUNCATED, ["model.onnx"]),
        (_missing_external_data, [], ExitStatus.EXTERNAL_DATA_MISSING, ["model.onnx", "weights.bin"]),
        (_external_data_outside, [], ExitStatus.EXTERNAL_DATA_OUTSIDE, ["model.onnx", "secret.bin"]),
        (_unknown_opset, [], ExitStatus.OPSET_UNKNOWN, ["model.onnx", "opset"]),
        (
            _unsupported_operators,
            [],
            ExitStatus.OPERATORS_UNSUPPORTED,
            ["Abacus", "first", "SlideRule", "second"],
        ),
        (_dynamic_shape, [], ExitStatus.SHAPE_NOT_PINNED, ["'x'", "--input-shapes"]),
        (_dynamic_shape, ["--input-shapes", "z:[1,9,6,6]"], ExitStatus.INPUT_SHAPES_WRONG, ["'z'", "'x'"]),
        (_dynamic_shape, ["--input-shapes", "x:[1,9"], ExitStatus.INPUT_SHAPES_WRONG, ["x:[1,9"]),
        (_fine, ["--target", "llvm -mcpu=abacus"], ExitStatus.TARGET_UNKNOWN, ["abacus"]),
        (_fine, ["--target", "cuda"], ExitStatus.TARGET_UNKNOWN, ["cuda"]),
        (_fine, ["--max-memory", "100"], ExitStatus.MEMORY_EXCEEDED, ["bytes", "100 are allowed"]),
        (_fine, ["--disabled-pass", "abacus"], ExitStatus.COMPILATION_FAILED, ["abacus"]),
    ],
)
def test_bad_input(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], None],
    flags: list[str],
    status: ExitStatus,
    words: list[str],
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    model = folder / "model.onnx"
    prepare(model)
    before = sorted(tmp_path.rglob("*"))
    assert main(["compile", str(model), "-o", str(folder / "out"), *flags], {}) == status
    error = _one_line(capsys)
    assert all(word in error for word in words), error
    assert sorted(tmp_path.rglob("*")) == before


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("shiftc: error: ")
    assert err.count("\n") == 1
    return err


def test_unwritable_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(shift_network(), tmp_path / "model.onnx")
    status = main(["compile", str(model), "-o", str(tmp_path / "absent" / "out")], {})
    assert status == ExitStatus.OUTPUT_UNWRITABLE
    assert str(tmp_path / "absent") in _one_line(capsys)


def test_unwritable_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(shift_network(), tmp_path / "model.onnx")
    flags = ["-o", str(tmp_path / "out"), "--dump-ir", str(model / "ir")]
    assert main(["compile", str(model), *flags], {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert "model.onnx/ir" in _one_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["abacus"],
        ["compile"],
        ["compile", "model.onnx"],
        ["compile", "model.onnx", "-o", "out", "-O", "4"],
        ["compile", "model.onnx", "-o", "out", "--threads", "0"],
        ["compile", "model.onnx", "-o", "out", "--threads", "1025"],
        ["tune", "model.onnx", "--threads", "1025"],
        ["bench", "model.onnx", "--threads", "1,1025"],
        ["bench", "model.onnx", "--busy", "-1"],
        ["bench", "model.onnx", "--busy", "100000"],
        ["compile", "model.onnx", "-o", "out", "--beads"],
        ["compile", "model.onnx", "-o", "out", "--shift-operator", "no-domain"],
        ["compile", "model.onnx", "-o", "out", "--chain", "beads"],
        ["compile", "model.onnx", "-o", "out", "--chain", "0"],
        ["compile", "model.onnx", "-o", "out", "--h-tiles", "-2"],
        ["compile", "model.onnx", "-o", "out", "--h-tiles", "1.5"],
        ["compile", "model.onnx", "-o", "out", "--max-memory", "0"],
        ["bench", "model.onnx", "--chain", "beads"],
        ["run", "out", "--fill-mode", "beads"],
        ["run", "out", "--repeat", "many"],
        ["bench", "model.onnx", "--threads", "1,x"],
        ["zoo"],
        ["zoo", "resnet50"],
        ["zoo", "abacus", "-o", "abacus.onnx"],
        ["tune"],
        ["tune", "model.onnx", "--trials", "0"],
        ["tune", "model.onnx", "--minutes", "-1"],
        ["compile", "model.onnx", "-o", "out", "--tuning-records", "here", "--no-tuning-records"],
    ],
)
def test_usage(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments, {}) == ExitStatus.USAGE
    _one_line(capsys)
    assert list(tmp_path.iterdir()) == []


def test_unknown_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(shift_network(), tmp_path / "model.onnx")
    assert main(["bench", str(model), "--against", "abacus"], {}) == ExitStatus.PEER_UNAVAILABLE
    assert "onnxruntime" in _one_line(capsys)


def test_traceback_only_with_debug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compile", str(tmp_path / "absent.onnx"), "-o", str(tmp_path / "out")]
    main(arguments, {})
    assert "Traceback" not in capsys.readouterr().err
    assert main([*arguments, "--debug"], {}) == ExitStatus.MODEL_NOT_FOUND
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("beads")

    monkeypatch.setattr("shiftc.execution.run_artifact", broken)
    assert main(["run", "out"], {}) == ExitStatus.INTERNAL
    error = _one_line(capsys)
    assert "ZeroDivisionError: beads" in error
    assert "--debug" in error


def test_statuses_are_distinct() -> None:
    assert len(ExitStatus.__members__) == len({int(status) for status in ExitStatus})
    assert all(0 <= status < 256 for status in ExitStatus)


@pytest.mark.parametrize("verb", ["compile", "tune"])
def test_an_operator_without_a_kernel_is_named_in_the_words_of_the_model(
    verb: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever TVM says, and whichever of its functions says it."""
    path = save(shift_network(), tmp_path / "model.onnx")

    def refuse(*_: object) -> None:
        raise RuntimeError("Check failed: (it != end) is false: tirx.sinh\n  at 0x7f\n")

    monkeypatch.setattr("tvm_passes.lowering.generic.relax.transform.LegalizeOps", refuse)
    model = onnx.load(path)
    output = model.graph.output[0]
    model.graph.node.append(onnx.helper.make_node("Round", [output.name], ["rounded"], "rounding"))
    output.name = "rounded"
    onnx.save(model, path)
    assert main([verb, str(path), "-o", str(tmp_path / "out")], {}) == ExitStatus.COMPILATION_FAILED
    complaint = capfd.readouterr().err.splitlines()[-1]
    assert complaint.startswith(f"shiftc: error: {path}: node 'rounding': Round of float32[")
    assert complaint.endswith(
        "] cannot be compiled; write it with other operators, or compute it outside the model"
    )
