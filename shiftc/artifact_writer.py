"""Writes an artifact beside its destination and puts it in place in one step.

So at every moment the whole older one is there or the whole new one, and the older one survives a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from shiftc.artifact import FILES, MANIFEST
from shiftc.build_id import build_id
from shiftc.errors import LinkError, OutputError
from shiftc.exchange import put_in_place
from shiftc.manifest import CONSTANTS, LIBRARY, FileEntry, Manifest
from shiftc.unfinished import remove_abandoned, unfinished_folder

Export = Callable[[str, str], object]
"""`export(file, build_id)` writes the shared library, with this build ID in hexadecimal."""


def check_writable(path: Path) -> None:
    """Raises OutputError unless an artifact can be put at `path`; asked before long work."""
    path = _resolved(path)
    if not path.parent.is_dir():
        raise OutputError(f"cannot write '{path}': there is no folder '{path.parent}'")
    if path.is_dir():
        if not _holds_nothing_else(path):
            raise _in_the_way(path)
    elif path.exists():
        raise OutputError(f"cannot write '{path}': a file is in the way")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write '{path}': no permission to write in '{path.parent}'")


def write_artifact(
    path: Path, manifest: Manifest, constants: npt.NDArray[np.uint8], export_library: Export
) -> Manifest:
    """Writes an artifact to `path`, replacing an older one; returns the manifest with its checksums.

    What killed compilations left beside it is removed. Raises OutputError when a file cannot be written,
    LinkError when the library lacks its build ID; whatever is raised, nothing is left behind and an older
    artifact is untouched.
    """
    check_writable(path)
    path = _resolved(path)
    remove_abandoned(path.parent)
    try:
        with unfinished_folder(path.parent) as staging:
            manifest = _fill(staging, manifest, constants, export_library)
            put_in_place(staging, path)
            if not _holds_nothing_else(staging):  # it was put there meanwhile
                put_in_place(staging, path)
                raise _in_the_way(path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    return manifest


def _fill(
    staging: Path, manifest: Manifest, constants: npt.NDArray[np.uint8], export_library: Export
) -> Manifest:
    library = staging / LIBRARY
    export_library(str(library), manifest.identity)
    if not library.is_file():
        raise LinkError("the linker said nothing and wrote no library")
    content = library.read_bytes()
    if build_id(lambda offset, size: content[offset : offset + size]) != manifest.identity:
        raise LinkError("the linker did not give the library its build ID; GNU's, LLVM's and zig's do")
    constants.tofile(staging / CONSTANTS)
    files = {CONSTANTS: FileEntry.of(constants.data), LIBRARY: FileEntry.of(content)}
    manifest = attrs.evolve(manifest, files=files)
    text = manifest.to_json()
    try:
        Manifest.from_json(text)
    except ValueError as error:
        raise OutputError(f"a manifest cannot say what this program is: {error}") from error
    (staging / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _resolved(path: Path) -> Path:
    """What a link at `path` points to is replaced, not the link."""
    return Path(os.path.realpath(path))


def _holds_nothing_else(folder: Path) -> bool:
    try:
        return {entry.name for entry in folder.iterdir()} <= set(FILES)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _in_the_way(path: Path) -> OutputError:
    return OutputError(f"cannot write '{path}': a folder that holds more than an artifact is in the way")
