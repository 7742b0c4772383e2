"""Writes a file wholly or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shiftc.errors import OutputError
from shiftc.unfinished import remove_abandoned, unfinished_file


@contextmanager
def replacing(path: Path, *, tidy: bool = True) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once the block ends without an error.

    tidy: first remove what killed processes left unfinished in its folder, which takes a look at every name
    there.

    Raises OutputError when it cannot be written; then, and when the block raises, nothing changes.
    """
    if tidy:
        remove_abandoned(path.parent)
    try:
        with unfinished_file(path.parent) as (staging, handle):
            with os.fdopen(handle, "wb", closefd=False) as file:
                yield file
            staging.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
