"""Loads an artifact's shared library through apache-tvm-ffi and TVM's runtime library alone."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shiftc.errors import ArtifactCorruptedError, ArtifactVersionError
from shiftc.manifest import Manifest
from shiftc.runtime.private_library import load_private

_RUNTIME_LIBRARY = "libtvm_runtime.so"
_ENTRY = "main"


def load_entry(path: Path, content: bytes) -> tuple[Any, Any]:
    """The library that `content` is, which was read from `path`, and its function
    `main(arena, constants, inputs…, outputs…, first, last)`; the library must outlive the function.

    Raises ArtifactCorruptedError.
    """
    load_tvm_runtime()
    try:
        module = load_private(content)
        return module, module.get_function(_ENTRY)
    except (AttributeError, OSError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ArtifactCorruptedError(f"'{path}' cannot be loaded: {reason}") from error


@functools.cache
def load_tvm_runtime() -> None:
    """Makes TVM's runtime (thread pool, workspace) known to the libraries loaded after it.

    Looked for in `$TVM_LIBRARY_PATH`, then in the installed package, whose Python is not imported.
    """
    folders = [Path(folder) for folder in filter(None, [os.environ.get("TVM_LIBRARY_PATH")])]
    found = importlib.util.find_spec("tvm")
    if found and found.submodule_search_locations:
        folders += [Path(folder) / "lib" for folder in found.submodule_search_locations]
    for folder in folders:
        if (folder / _RUNTIME_LIBRARY).is_file():
            ctypes.CDLL(str(folder / _RUNTIME_LIBRARY), ctypes.RTLD_GLOBAL)
            return
    raise ArtifactVersionError(
        f"{_RUNTIME_LIBRARY} is not installed: `pip install apache-tvm` or set TVM_LIBRARY_PATH"
    )


def check_versions(path: Path, manifest: Manifest) -> None:
    """Raises ArtifactVersionError unless the artifact's TVM is the installed one."""
    wanted = {"apache-tvm": manifest.versions.tvm, "apache-tvm-ffi": manifest.versions.tvm_ffi}
    for package, expected in wanted.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue  # a bare runtime library carries no version
        if installed != expected:
            raise ArtifactVersionError(
                f"'{path}' was compiled with {package} {expected}, {installed} is installed: "
                "compile the model again"
            )
