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
from collections.abc import Callable, Sequence

from shiftc.errors import NoLinkerError, ShiftcError

_COMPILERS = ("g++", "gcc", "clang++", "clang", "c++", "cc")
_GLIBC = "2.17"
_FLAGS = ("-shared", "-fPIC", "-s", "-Wl,--build-id=none", "-Wl,-Bsymbolic")
"""Stripped of all that differs between two runs; calls between its objects stay inside the library."""

FCompile = Callable[..., None]


def linker_for(machine: str) -> FCompile:
    """An `fcompile` for TVM's `export_library` that links for `machine` (`x86_64`, `aarch64`, …).

    Raises NoLinkerError when there is nothing to link with.
    """
    command = _command(machine)

    def link(output: str, objects: Sequence[str], options: Sequence[str] | None = None, **_: object) -> None:
        arguments = [*command, *_FLAGS, "-o", str(output), *objects, *(options or ())]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = " ".join((done.stderr or done.stdout).split())
            raise ShiftcError(f"linking with '{command[0]}' failed: {reason[:500]}")

    return link


def _command(machine: str) -> list[str]:
    if machine == platform.machine():
        chosen = os.environ.get("CXX") or os.environ.get("CC")
        if chosen:
            return shlex.split(chosen)
        candidates: tuple[str, ...] = _COMPILERS
    else:
        candidates = (f"{machine}-linux-gnu-g++", f"{machine}-linux-gnu-gcc")
    for name in candidates:
        if path := shutil.which(name):
            return [path]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu.{_GLIBC}"]
    raise NoLinkerError(
        f"no compiler to link a library for {machine} with: install {candidates[0]}, or `pip install ziglang`"
    )
