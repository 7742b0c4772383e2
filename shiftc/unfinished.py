"""Files and folders while they are written, beside the place that they will take.

Each is locked for as long as its writer lives: the system drops the lock, however the writer ends. So what a
killed process left can be told from what another one is writing, and whoever writes next removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".shiftc-unfinished-"
_NAME = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}(-aside)?")
_TRIES = 100


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`. What stands at its path when the block ends is removed.

    Raises OSError when it cannot be made.
    """

    def make(path: Path) -> int:
        path.mkdir()
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    path, handle = _locked(parent, make)
    try:
        yield path
    finally:
        _remove(path)
        os.close(handle)


@contextmanager
def unfinished_file(parent: Path) -> Iterator[tuple[Path, int]]:
    """A new file in `parent`, and its descriptor. If it still has that path when the block ends, it is
    removed.

    Raises OSError when it cannot be made.
    """
    path, handle = _locked(parent, lambda path: os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield path, handle
    finally:
        _remove(path)
        os.close(handle)


def remove_abandoned(parent: Path) -> None:
    """Removes from a folder what processes that have ended left unfinished there, where that is allowed."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_unless_locked(Path(entry.path))


def is_being_written(parent: Path) -> bool:
    """Whether something in the folder is unfinished, by a process that may be alive."""
    try:
        with os.scandir(parent) as entries:
            return any(_NAME.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def _locked(parent: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """What `make` makes and opens at a path of its own, locked before anyone took it for abandoned."""
    for _ in range(_TRIES):
        path = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        try:
            handle = make(path)
        except FileNotFoundError:
            if parent.is_dir():  # somebody took it for abandoned before it was locked
                continue
            raise
        with suppress(OSError):  # a file system without locks: then nobody removes it
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _stands_at(handle, path):
            return path, handle
        os.close(handle)
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _remove_unless_locked(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _stands_at(handle, path):
            _remove(path)
    finally:
        os.close(handle)


def _stands_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
