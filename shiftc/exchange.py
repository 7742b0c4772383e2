"""Puts a folder in the place of another in one step, so that at no time there is none."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV)
_TRIES = 100


def put_in_place(folder: Path, destination: Path) -> None:
    """Afterwards `folder` stands at `destination`, and at its own path what was there before, if anything.

    In one step where the file system can exchange two folders, as all of Linux's own do; elsewhere for an
    instant nothing is at `destination`. Raises OSError when something else than a folder is there, or without
    permission.
    """
    for _ in range(_TRIES):
        try:
            folder.rename(destination)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        try:
            _exchange(folder, destination)
            return
        except FileNotFoundError:
            continue  # somebody has just removed what was there
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            _take_turns(folder, destination)
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _exchange(one: Path, other: Path) -> None:
    renameat2 = _renameat2()
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _take_turns(folder: Path, destination: Path) -> None:
    aside = folder.with_name(f"{folder.name}-aside")
    destination.rename(aside)
    try:
        folder.rename(destination)
    except OSError:
        aside.rename(destination)
        raise
    with suppress(FileNotFoundError):  # removed as abandoned
        aside.rename(folder)


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """The C library's function, None where it is older than that."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        function.restype = ctypes.c_int
    return function
