"""Writes a file wholly or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shiftc.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once the block ends without an error.

    Raises OutputError when it cannot be written; then, and when the block raises, nothing changes.
    """
    try:
        handle, staging = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(staging).chmod(0o666 & ~current_umask())
        Path(staging).replace(path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
    finally:
        Path(staging).unlink(missing_ok=True)


def current_umask() -> int:
    """The permissions this process takes away from new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
