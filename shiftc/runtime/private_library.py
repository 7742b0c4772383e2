"""Loads a shared library from bytes that were verified, never from the file that they came from.

The system's loader knows libraries by their path and by the file behind it, and hands out again one that it
has loaded. So every library gets a file of its own, in memory, and a path of its own.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tvm_ffi

_numbers = itertools.count(1)


def load_private(content: bytes) -> Any:
    """The library as a module of tvm_ffi.

    Raises OSError where this system lets nothing be executed that a process writes, and what tvm_ffi raises
    for a library that it cannot load.
    """
    try:
        with _in_memory(content) as path:
            return _load(path)
    except (OSError, RuntimeError):  # no such files here, or they may not be executed
        with _in_folder(content) as path:
            return _load(path)


def _load(path: str) -> Any:
    # What `tvm_ffi.load_module` calls for a path that ends in `.so`.
    return tvm_ffi.get_global_func("ffi.Module.load_from_file.so")(path, "so")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    if not hasattr(os, "memfd_create"):
        raise OSError("no files in memory")
    handle = os.memfd_create("shiftc", os.MFD_CLOEXEC)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        yield _unique(handle)
    finally:
        os.close(handle)


def _unique(handle: int) -> str:
    """A path of an open file that no other file had: descriptors are used again, the loader remembers paths.

    It spells a number in binary, `/.` for 1 and `/` for 0, which mean nothing in a path.
    """
    number = format(next(_numbers), "b").replace("1", "/.").replace("0", "/")
    return f"/proc/self/fd{number}/{handle}"


@contextmanager
def _in_folder(content: bytes) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="shiftc-") as folder:
        path = Path(folder) / f"{next(_numbers)}.so"
        path.write_bytes(content)
        yield str(path)
        with suppress(OSError):
            path.unlink()
