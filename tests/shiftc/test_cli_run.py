"""`shiftc run` and `shiftc inspect` on an artifact: outputs, files, exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftc.artifact import MANIFEST
from shiftc.cli import main
from shiftc.exit_status import ExitStatus


def test_run_prints_every_output(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(artifact), "--fill-mode", "ones"], {}) == ExitStatus.SUCCESS
    assert capsys.readouterr().out == "y: float32[4, 16] from 2 to 17\n"


def test_run_reads_and_writes_npz(
    artifact: Path, tmp_path: Path, x: np.ndarray, expected: np.ndarray
) -> None:
    np.savez(tmp_path / "in.npz", x=x)
    files = ["--inputs", str(tmp_path / "in.npz"), "--outputs", str(tmp_path / "out.npz")]
    assert main(["run", str(artifact), *files], {}) == ExitStatus.SUCCESS
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["y"], expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out.npz"]


def test_fill_modes(artifact: Path, tmp_path: Path) -> None:
    def outputs(mode: str) -> np.ndarray:
        file = tmp_path / f"{mode}.npz"
        assert main(["run", str(artifact), "--fill-mode", mode, "--outputs", str(file)], {}) == 0
        return np.load(file)["y"]

    bias = np.arange(16)
    assert np.array_equal(outputs("zeros"), np.broadcast_to(bias, (4, 16)))
    assert np.array_equal(outputs("ones"), np.broadcast_to(bias + 2, (4, 16)))
    random = outputs("random")
    assert np.all((random >= bias) & (random < bias + 2))
    assert len(np.unique(random - bias)) > 32


def test_print_top(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(artifact), "--fill-mode", "zeros", "--print-top", "2"], {"COLUMNS": "80"}) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row for row in rows if row[-1:] == ["15"]] == [["15", "15"], ["31", "15"]]


def test_print_time(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(artifact), "--print-time", "--repeat", "3", "--number", "2"], {}) == 0
    out = capsys.readouterr().out
    assert "3 averages of 2 runs" in out
    assert all(word in out for word in ("median", "mean", "min", "max", " µs"))


def _status(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[ExitStatus, str]:
    status = main(arguments, {})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("shiftc: error: ")
    assert err.count("\n") == 1
    return status, err


@pytest.mark.parametrize(
    ("inputs", "status", "words"),
    [
        ({"z": np.zeros((4, 16), "f4")}, ExitStatus.INPUT_NAME_WRONG, "'x'"),
        ({"x": np.zeros((4, 1), "f4")}, ExitStatus.INPUT_SHAPE_WRONG, "[4, 1]"),
        ({"x": np.zeros((4, 16), "f8")}, ExitStatus.INPUT_DTYPE_WRONG, "float64"),
    ],
)
def test_wrong_inputs(
    artifact: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    inputs: dict[str, Any],
    status: ExitStatus,
    words: str,
) -> None:
    np.savez(tmp_path / "in.npz", **inputs)
    out = tmp_path / "out.npz"
    arguments = ["run", str(artifact), "--inputs", str(tmp_path / "in.npz"), "--outputs", str(out)]
    found, error = _status(arguments, capsys)
    assert found == status
    assert words in error
    assert not out.exists()


@pytest.mark.parametrize("content", [None, b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_unreadable_inputs(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    file = tmp_path / "in.npz"
    if content is not None:
        file.write_bytes(content)
    status, error = _status(["run", str(artifact), "--inputs", str(file)], capsys)
    assert status == ExitStatus.INPUT_FILE_WRONG
    assert str(file) in error


def test_an_npy_file_is_no_npz(artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "in.npy", np.zeros(3))
    status, _ = _status(["run", str(artifact), "--inputs", str(tmp_path / "in.npy")], capsys)
    assert status == ExitStatus.INPUT_FILE_WRONG


def test_unwritable_outputs(artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _ = _status(["run", str(artifact), "--outputs", str(tmp_path / "absent" / "out.npz")], capsys)
    assert status == ExitStatus.OUTPUT_UNWRITABLE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["run", "inspect"])
def test_no_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    status, _ = _status([verb, str(tmp_path)], capsys)
    assert status == ExitStatus.ARTIFACT_NOT_FOUND


def _truncate(path: Path, _: Any) -> None:
    (path / "constants.bin").write_bytes((path / "constants.bin").read_bytes()[:-1])


def _foreign_machine(path: Path, tiny: Any) -> None:
    tiny.write(path, machine="riscv64")


def _other_version(path: Path, _: Any) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps(manifest | {"format": 99}))


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        (_truncate, ExitStatus.ARTIFACT_CORRUPTED),
        (_foreign_machine, ExitStatus.ARTIFACT_TARGET),
        (_other_version, ExitStatus.ARTIFACT_VERSION),
    ],
)
def test_unusable_artifacts(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any, status: ExitStatus
) -> None:
    tiny.write(tmp_path / "a")
    damage(tmp_path / "a", tiny)
    assert _status(["run", str(tmp_path / "a")], capsys)[0] == status
