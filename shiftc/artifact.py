"""The artifact: a directory with `model.so`, `constants.bin` and `manifest.json`.

Read so that nothing is executed that was not verified, and so that what is read is of one compilation, though
another may publish its own at the same path meanwhile: the directory is opened once, all files through it,
and what is verified are the bytes that are then used.
Imports no compiler: the runtime reads artifacts through this module; `shiftc.artifact_writer` writes them.
"""

from __future__ import annotations

import os
import platform
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path

import attrs

from shiftc.build_id import build_id
from shiftc.cpu_features import missing_features
from shiftc.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    ArtifactTargetError,
    ArtifactVersionError,
)
from shiftc.manifest import CONSTANTS, LIBRARY, MOST_CHARACTERS, FileEntry, Manifest, UnknownFormatError
from shiftc.unfinished import is_being_written

MANIFEST = "manifest.json"
FILES = (MANIFEST, CONSTANTS, LIBRARY)

_TRIES = 1000
"""How often the artifact may be replaced while it is opened."""
_PATIENCE = 0.25
"""Seconds in which a compilation that has taken the older artifact away puts its own in place."""


@attrs.frozen
class OpenArtifact:
    """An artifact whose manifest was read, and whose library has that manifest's identity."""

    path: Path
    manifest: Manifest
    _files: Mapping[str, BufferedReader]

    def read_library(self) -> bytes:
        """The library, verified. Raises ArtifactCorruptedError."""
        self._check_size(LIBRARY)
        with _reading(self.path / LIBRARY):
            content = self._files[LIBRARY].read()
        self._verify(LIBRARY, content)
        return content

    def read_constants(self, memory: memoryview) -> None:
        """Fills memory of `files[CONSTANTS].size` with the constants, verified.

        Raises ArtifactCorruptedError.
        """
        self._check_size(CONSTANTS)
        with _reading(self.path / CONSTANTS):
            self._files[CONSTANTS].readinto(memory)
        self._verify(CONSTANTS, memory)

    def _check_size(self, name: str) -> None:
        if os.fstat(self._files[name].fileno()).st_size != self.manifest.files[name].size:
            raise ArtifactCorruptedError(
                f"'{self.path / name}' is damaged: it has another size than {MANIFEST} says"
            )

    def _verify(self, name: str, content: bytes | memoryview) -> None:
        if FileEntry.of(content) != self.manifest.files[name]:
            raise ArtifactCorruptedError(
                f"'{self.path / name}' is damaged: its SHA-256 is not the one in {MANIFEST}"
            )


def is_artifact(path: Path) -> bool:
    """Whether `path` looks like an artifact rather than a model."""
    return path.is_dir()


@contextmanager
def opened(path: Path) -> Iterator[OpenArtifact]:
    """The artifact at `path`, whole, whatever becomes of the path while the block runs.

    Raises ArtifactNotFoundError, ArtifactCorruptedError, or ArtifactVersionError for another format.
    """
    with ExitStack() as stack:
        with _reading(path):
            files = {name: stack.enter_context(file) for name, file in _open(path).items()}
            manifest = _manifest(path, files)
        yield OpenArtifact(path, manifest, files)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the artifact at `path`, whose library has its identity; no other content is looked at.

    Raises ArtifactNotFoundError, ArtifactCorruptedError, or ArtifactVersionError for another format.
    """
    with opened(path) as artifact:
        return artifact.manifest


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


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactCorruptedError(f"'{path}' cannot be read: {error.strerror or error}") from error


def _manifest(path: Path, files: Mapping[str, BufferedReader]) -> Manifest:
    text = files[MANIFEST].read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise ArtifactCorruptedError(
            f"'{path / MANIFEST}' is damaged: it has more than {MOST_CHARACTERS} bytes"
        )
    try:
        manifest, identity = Manifest.from_json(text)
    except UnknownFormatError as error:
        raise ArtifactVersionError(f"'{path}' has artifact {error}: compile the model again") from error
    except ValueError as error:
        raise ArtifactCorruptedError(f"'{path / MANIFEST}' is damaged: {error}") from error
    library = files[LIBRARY].fileno()
    if build_id(lambda offset, size: os.pread(library, size, offset)) != identity:
        raise ArtifactCorruptedError(f"'{path}' is damaged: {LIBRARY} was not linked for this {MANIFEST}")
    return manifest


def _open(path: Path) -> dict[str, BufferedReader]:
    """The files of one directory that was at `path`, unread.

    Raises ArtifactNotFoundError, ArtifactCorruptedError or OSError.
    """
    end = time.monotonic() + _PATIENCE
    for _ in range(_TRIES):
        try:
            folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            if is_being_written(path.parent) and time.monotonic() < end:
                time.sleep(0.001)
                continue
            raise ArtifactNotFoundError(f"'{path}' is not an artifact: it has no {MANIFEST}") from error
        try:
            return _open_in(folder, path)
        except FileNotFoundError as error:
            if _still_at(folder, path):
                if error.filename == MANIFEST:
                    raise ArtifactNotFoundError(
                        f"'{path}' is not an artifact: it has no {MANIFEST}"
                    ) from error
                raise ArtifactCorruptedError(f"'{path / error.filename}' is missing") from error
        finally:
            os.close(folder)
    raise ArtifactCorruptedError(f"'{path}' is replaced faster than it can be read")


def _open_in(folder: int, path: Path) -> dict[str, BufferedReader]:
    with ExitStack() as stack:
        files: dict[str, BufferedReader] = {}
        for name in FILES:
            # Without waiting for whoever would write to a pipe of that name.
            handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            files[name] = stack.enter_context(os.fdopen(handle, "rb"))
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ArtifactCorruptedError(f"'{path / name}' is no file")
        stack.pop_all()
        return files


def _still_at(folder: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(folder), path.stat())
    except OSError:
        return False
