"""Object code of kernels, kept on this machine between compilations.

A folder of files, one per key, each behind the SHA-256 of what it holds. Files are written whole or not at
all and never changed, so compilations may share the folder; one that is damaged counts as missing and is
written again. Reading a file renews its time, and `prune` removes those that nobody read for longest.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path

import attrs
import platformdirs

from shiftc.atomic_file import replacing
from shiftc.errors import OutputError
from shiftc.unfinished import remove_abandoned

ENVIRONMENT = "SHIFTC_CACHE_DIR"
SIZE_LIMIT = 256 << 20
"""Bytes; about 25,000 kernels."""

_ENTRY = re.compile(r"[0-9a-f]{64}\.o")
"""Names of entries: nothing else is ever removed but what `shiftc.unfinished` knows."""

_DIGEST_BYTES = hashlib.sha256().digest_size


def default_folder() -> Path:
    """`$SHIFTC_CACHE_DIR`, or `kernels` in the user's cache for shiftc."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen) if chosen else platformdirs.user_cache_path("shiftc") / "kernels"


@attrs.define
class KernelCache:
    """An `ObjectStore` on disk. Where it cannot write, only time is lost: `failure` says why."""

    folder: Path = attrs.field(factory=default_folder)
    size_limit: int = SIZE_LIMIT
    failure: str | None = None

    def get(self, key: str) -> bytes | None:
        """What was put under the key; None if it is not there or damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(code).digest() != digest:
            return None
        with suppress(OSError):  # pruned meanwhile, or somebody else's: what was read is whole
            os.utime(path)
        return code

    def put(self, key: str, code: bytes) -> None:
        """Keep the code, if it can be written."""
        if self.failure is not None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._path(key), tidy=False) as file:
                file.write(hashlib.sha256(code).digest())
                file.write(code)
        except OSError as error:
            self.failure = f"cannot write '{self.folder}': {error.strerror}"
        except OutputError as error:
            self.failure = str(error)

    def prune(self) -> None:
        """Remove the files that nobody read for longest until the folder keeps to its size."""
        entries = (path for path in self.folder.glob("*") if _ENTRY.fullmatch(path.name))
        ages = {path: age for path in entries if (age := _age(path)) is not None}
        total = 0
        for path in sorted(ages, key=ages.__getitem__):
            with suppress(OSError):  # another compilation may prune, too
                total += path.stat().st_size
                if total > self.size_limit:
                    path.unlink()
        remove_abandoned(self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.o"


def _age(path: Path) -> float | None:
    """Seconds since the file was written or read; None if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None
