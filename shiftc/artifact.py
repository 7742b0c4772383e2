"""The artifact: a directory with `model.so`, `constants.bin` and `manifest.json`.

Written beside its destination and renamed into place, so that there is either the whole artifact or
none, and an older one survives a failure. Reading verifies every byte before anything is executed.
Imports no compiler: the runtime reads artifacts through this module.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from shiftc.atomic_file import current_umask
from shiftc.cpu_features import missing_features
from shiftc.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    ArtifactTargetError,
    ArtifactVersionError,
    OutputError,
)
from shiftc.manifest import Manifest, UnknownFormatError

LIBRARY = "model.so"
CONSTANTS = "constants.bin"
MANIFEST = "manifest.json"


def is_artifact(path: Path) -> bool:
    """Whether `path` looks like an artifact rather than a model."""
    return path.is_dir()


def check_writable(path: Path) -> None:
    """Raises OutputError unless an artifact can be put at `path`; asked before long work."""
    if not path.parent.is_dir():
        raise OutputError(f"cannot write '{path}': there is no folder '{path.parent}'")
    if path.is_dir():
        if any(path.iterdir()) and not (path / MANIFEST).is_file():
            raise OutputError(f"cannot write '{path}': a folder that is not an artifact is in the way")
    elif path.exists():
        raise OutputError(f"cannot write '{path}': a file is in the way")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write '{path}': no permission to write in '{path.parent}'")


def write_artifact(
    path: Path,
    manifest: Manifest,
    constants: npt.NDArray[np.uint8],
    export_library: Callable[[str], object],
) -> Manifest:
    """Writes an artifact to `path`, replacing an older one; returns the manifest with its checksums.

    `export_library(file)` writes the shared library. Raises OutputError when a file cannot be written;
    whatever is raised, nothing is left behind and an older artifact is untouched.
    """
    check_writable(path)
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    try:
        export_library(str(staging / LIBRARY))
        constants.tofile(staging / CONSTANTS)
        files = {name: _sha256((staging / name).read_bytes()) for name in (CONSTANTS, LIBRARY)}
        manifest = attrs.evolve(manifest, files=files)
        (staging / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        staging.chmod(0o777 & ~current_umask())
        _replace(staging, path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of the artifact at `path`; its other files are not looked at.

    Raises ArtifactNotFoundError, ArtifactCorruptedError, or ArtifactVersionError for another format.
    """
    try:
        text = (path / MANIFEST).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactNotFoundError(f"'{path}' is not an artifact: it has no {MANIFEST}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactCorruptedError(f"'{path / MANIFEST}' cannot be read: {error}") from error
    try:
        return Manifest.from_json(text)
    except UnknownFormatError as error:
        raise ArtifactVersionError(f"'{path}' has artifact {error}: compile the model again") from error
    except ValueError as error:
        raise ArtifactCorruptedError(f"'{path / MANIFEST}' is damaged: {error}") from error


def check_machine(path: Path, manifest: Manifest) -> None:
    """Raises ArtifactTargetError unless this machine can execute the artifact's code."""
    if manifest.machine != platform.machine():
        raise ArtifactTargetError(
            f"'{path}' was compiled for {manifest.machine}, this machine is {platform.machine()}"
        )
    missing = missing_features(manifest.cpu_features)
    if missing:
        processor = manifest.target.get("mcpu", manifest.machine)
        raise ArtifactTargetError(
            f"'{path}' was compiled for {processor}, this processor lacks {', '.join(missing)}"
        )


def verify_file(path: Path, manifest: Manifest, content: bytes | memoryview) -> None:
    """Raises ArtifactCorruptedError unless `content` is what was written to `path`."""
    if _sha256(content) != manifest.files.get(path.name):
        raise ArtifactCorruptedError(f"'{path}' is damaged: its SHA-256 is not the one in {MANIFEST}")


def _sha256(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


def _replace(staging: Path, path: Path) -> None:
    if not path.exists():
        staging.rename(path)
        return
    older = staging.with_name(staging.name + ".old")
    path.rename(older)
    try:
        staging.rename(path)
    except OSError:
        older.rename(path)
        raise
    shutil.rmtree(older, ignore_errors=True)
