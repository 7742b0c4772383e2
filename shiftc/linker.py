"""Links an artifact's object files into one shared library, the same bytes every time.

The first of these that exists is used: `$CXX` or `$CC`, a C++ or C compiler on the path, the compiler
of the `ziglang` package. For a foreign architecture: its GNU cross compiler, or ziglang.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import attrs

from shiftc.errors import LinkError, NoLinkerError, OutputError

_COMPILERS = ("g++", "gcc", "clang++", "clang", "c++", "cc")
_GLIBC = "2.17"
_FLAGS = ("-shared", "-fPIC", "-s", "-Wl,-Bsymbolic")
"""Stripped of all that differs between two runs; calls between its objects stay inside the library."""


class Library(Protocol):
    """What can be linked: object code, or a module of TVM's."""

    def export_library(self, file: str, *, fcompile: Callable[..., object]) -> object:
        """Link with `fcompile(file, objects)`."""


@attrs.frozen
class Linker:
    """A command, and where it comes from as an error names it; an `fcompile` for TVM's `export_library`."""

    command: tuple[str, ...]
    origin: str

    def __call__(
        self, output: str, objects: Sequence[str], options: Sequence[str] | None = None, build_id: str = ""
    ) -> None:
        """Links `objects` to the shared library `output`, with a build ID in hexadecimal, or none.

        Raises LinkError, or OSError or OutputError where there is no room for what is linked.
        """
        identity = f"-Wl,--build-id={f'0x{build_id}' if build_id else 'none'}"
        arguments = [*self.command, *_FLAGS, identity, "-o", str(output), *objects, *(options or ())]
        try:
            done = subprocess.run(
                arguments,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise LinkError(f"{self.origin} cannot be executed: {error.strerror or error}") from error
        if done.returncode:
            _check_room(Path(output).parent, objects)
            reason = " ".join((done.stderr or done.stdout).split()) or _ending(done.returncode)
            raise LinkError(f"linking with {self.origin} failed: {reason[:500]}")

    def exporting(self, library: Library) -> Callable[[str, str], object]:
        """A function of a file and a build ID that links the library."""
        return lambda file, build_id: library.export_library(file, fcompile=partial(self, build_id=build_id))


def linker_for(machine: str) -> Linker:
    """What links for `machine` (`x86_64`, `aarch64`, …).

    Raises NoLinkerError when there is nothing to link with.
    """
    if machine == platform.machine():
        for variable in ("CXX", "CC"):
            if command := _chosen(variable):
                return Linker(command, f"${variable} ('{command[0]}')")
        candidates: tuple[str, ...] = _COMPILERS
    else:
        candidates = (f"{machine}-linux-gnu-g++", f"{machine}-linux-gnu-gcc")
    for name in candidates:
        if path := shutil.which(name):
            return Linker((path,), f"'{path}'")
    if importlib.util.find_spec("ziglang"):
        target = f"{machine}-linux-gnu.{_GLIBC}"
        return Linker((sys.executable, "-m", "ziglang", "cc", "-target", target), "ziglang")
    raise NoLinkerError(
        f"no compiler to link a library for {machine} with: install {candidates[0]}, or `pip install ziglang`"
    )


def _chosen(variable: str) -> tuple[str, ...]:
    """The command in an environment variable; empty where there is none. Raises NoLinkerError."""
    text = os.environ.get(variable, "")
    try:
        command = tuple(shlex.split(text))
    except ValueError as error:
        raise NoLinkerError(f"${variable} is no command: {error}: {text}") from error
    if command and shutil.which(command[0]) is None:
        raise NoLinkerError(f"${variable} names '{command[0]}': there is no such program")
    return command


def _check_room(folder: Path, objects: Sequence[str]) -> None:
    """Raises OSError unless as much as is linked can be written there, OutputError unless it can where
    linkers put their own files.
    """
    size = sum(Path(file).stat().st_size for file in objects if Path(file).is_file())
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=place) as file:
                for _ in range(0, size, 1 << 20):
                    file.write(bytes(1 << 20))
        except OSError as error:
            if place == folder:
                raise
            raise OutputError(f"cannot write in '{place}': {error.strerror}") from error


def _ending(code: int) -> str:
    return f"it was ended by signal {-code}" if code < 0 else f"its exit status is {code}"
