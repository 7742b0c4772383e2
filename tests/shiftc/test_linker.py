"""Which linker is taken, and what is said when there is none."""

from __future__ import annotations

import importlib.util
import platform
import resource
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shiftc
from shiftc.errors import LinkError, NoLinkerError, ShiftcError
from shiftc.linker import linker_for

HERE = platform.machine()


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without compilers; programs put into the folder are on the path."""
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    return tmp_path


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_none(empty_path: Path) -> None:
    with pytest.raises(NoLinkerError, match="pip install ziglang"):
        linker_for(HERE)


def test_compiler_on_the_path(empty_path: Path) -> None:
    _program(empty_path / "cc", f'echo "$@" > {empty_path}/arguments')
    linker_for(HERE)("out.so", ["a.o", "b.o"])
    arguments = (empty_path / "arguments").read_text().split()
    assert "-shared" in arguments
    assert arguments[-4:] == ["-o", "out.so", "a.o", "b.o"]


def test_environment_decides(empty_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(empty_path / "cc", "exit 1")
    _program(empty_path / "chosen", f'echo "$@" > {empty_path}/arguments')
    monkeypatch.setenv("CC", f"{empty_path}/chosen -m64")
    linker_for(HERE)("out.so", ["a.o"])
    assert (empty_path / "arguments").read_text().startswith("-m64 ")


def test_cross_compiler(empty_path: Path) -> None:
    with pytest.raises(NoLinkerError, match="riscv64-linux-gnu-g"):
        linker_for("riscv64")
    _program(empty_path / "riscv64-linux-gnu-gcc", "exit 0")
    linker_for("riscv64")("out.so", ["a.o"])


@pytest.mark.parametrize(
    ("variable", "command", "words"),
    [
        ("CC", "/absent/cc -m64", ["$CC", "'/absent/cc'"]),
        ("CXX", "/absent/c++", ["$CXX", "'/absent/c++'"]),
        ("CC", 'cc "unbalanced', ["$CC", "quotation"]),
        ("CC", "/tmp", ["$CC", "'/tmp'"]),
    ],
)
def test_a_choice_that_is_no_program(
    empty_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, command: str, words: list[str]
) -> None:
    monkeypatch.setenv(variable, command)
    with pytest.raises(NoLinkerError) as caught:
        linker_for(HERE)
    assert all(word in str(caught.value) for word in words)


def test_an_empty_choice_is_none(empty_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "  ")
    _program(empty_path / "cc", "exit 0")
    assert linker_for(HERE).command == (str(empty_path / "cc"),)


def test_a_program_that_is_none(empty_path: Path) -> None:
    (empty_path / "cc").write_bytes(b"\x7fELF, or so it seems")
    (empty_path / "cc").chmod(0o755)
    with pytest.raises(LinkError, match="cannot be executed"):
        linker_for(HERE)("out.so", ["a.o"])


def test_words_in_any_encoding(empty_path: Path) -> None:
    _program(empty_path / "cc", "printf 'caf\\351' >&2; exit 1")
    with pytest.raises(LinkError, match="caf"):
        linker_for(HERE)("out.so", ["a.o"])


def test_no_room_is_not_the_linkers_fault(empty_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the size of files stands for a full disk: the linker is ended by it."""
    _program(empty_path / "cc", "kill -XFSZ $$")
    (empty_path / "a.o").write_bytes(bytes(100_000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            linker_for(HERE)(str(empty_path / "out.so"), [str(empty_path / "a.o")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_failure_is_one_line(empty_path: Path) -> None:
    _program(empty_path / "cc", "printf 'first\\nsecond\\n' >&2; exit 1")
    with pytest.raises(ShiftcError) as caught:
        linker_for(HERE)("out.so", ["a.o"])
    assert "first second" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
def test_ziglang_alone_links(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, x: np.ndarray, expected: np.ndarray
) -> None:
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "")
    tiny.write(tmp_path / "a")
    np.testing.assert_array_equal(shiftc.load(tmp_path / "a").run({"x": x})["y"], expected)
