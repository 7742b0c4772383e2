"""stdout that is full, closed or gone, Ctrl-C at any time: a status, at most one line, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shiftc.cli import main
from shiftc.cli.streams import printable
from shiftc.exit_status import ExitStatus
from tests.shiftc.models import save, shift_network

_SHIFTC = [sys.executable, "-m", "shiftc"]


def _ended(arguments: list[str], **streams: object) -> tuple[int, str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | streams
    done = subprocess.run([*_SHIFTC, *arguments], text=True, check=False, env=environment, **streams)  # type: ignore[call-overload]
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("arguments", [["run"], ["inspect", "--json"], ["inspect"]])
def test_a_full_disk_behind_stdout(artifact: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        status, err = _ended([*arguments, str(artifact)], stdout=full)
    assert status == ExitStatus.OUTPUT_UNWRITABLE
    assert err == "shiftc: error: cannot write to stdout: No space left on device\n"


@pytest.mark.parametrize("arguments", [["run"], ["inspect", "--json"], ["--help"]])
def test_nobody_reads_on(artifact: Path, arguments: list[str]) -> None:
    """The process ends by SIGPIPE and says nothing, as `yes | head -1` does."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        status, err = _ended(
            [*arguments, str(artifact)] if arguments != ["--help"] else arguments, stdout=writer
        )
    finally:
        os.close(writer)
    assert status == -signal.SIGPIPE
    assert err == ""


def test_closed_streams(artifact: Path) -> None:
    command = f'{sys.executable} -m shiftc run "$1" >&-'
    done = subprocess.run(
        ["sh", "-c", command, "sh", str(artifact)], stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == ExitStatus.OUTPUT_UNWRITABLE
    assert done.stderr == "shiftc: error: cannot write to stdout: it is closed\n"
    command = f'{sys.executable} -m shiftc run "$1.absent" 2>&-'
    done = subprocess.run(["sh", "-c", command, "sh", str(artifact)], check=False)
    assert done.returncode == ExitStatus.ARTIFACT_NOT_FOUND


def test_an_encoding_that_lacks_characters(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert _ended(["run", str(artifact), "--print-time", "--repeat", "1"]) == (0, "")


_INTERRUPTED_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "shiftc.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from shiftc.start import entry_point
entry_point()
"""


def test_interrupted_while_modules_are_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_IMPORT],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (ExitStatus.INTERRUPTED, "shiftc: error: interrupted\n")


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shiftc.execution.run_artifact", interrupted)
    assert main(["run", "out"], {}) == ExitStatus.INTERRUPTED
    assert capsys.readouterr().err == "shiftc: error: interrupted\n"


def test_a_full_disk_under_dumped_ir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link to /dev/full stands where the first file of the dump belongs."""
    model = save(shift_network(), tmp_path / "model.onnx")
    (tmp_path / "ir").mkdir()
    (tmp_path / "ir" / "00-canonicalize.py").symlink_to("/dev/full")
    arguments = ["compile", str(model), "-o", str(tmp_path / "out"), "--dump-ir", str(tmp_path / "ir")]
    assert main(arguments, {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert "00-canonicalize.py': No space left on device\n" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_room_wherever_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr("shiftc.execution.run_artifact", full)
    assert main(["run", "out"], {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert capsys.readouterr().err == "shiftc: error: cannot write '/some/file': No space left on device\n"


def test_printable() -> None:
    assert printable("naïve Ω") == "naïve Ω"
    assert printable("\x1b[31m\n\u202e") == "\\x1b[31m\\n\\u202e"
