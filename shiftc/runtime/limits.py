"""What this machine has left for a program: memory, and threads."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from pathlib import Path

from shiftc.errors import ArtifactTooLargeError

_WORTH_ASKING = 64 << 20
"""Bytes; asking costs a tenth of a millisecond."""

_CGROUPS = Path("/sys/fs/cgroup")


def check_memory(path: Path, needed: int) -> None:
    """Raises ArtifactTooLargeError unless so many bytes can be had now."""
    if needed >= _WORTH_ASKING and needed > (available := available_bytes()):
        raise ArtifactTooLargeError(
            f"'{path}' needs {needed:,} bytes of memory, this process can have {max(available, 0):,}"
        )


def check_threads(count: int) -> None:
    """Raises ArtifactTooLargeError unless so many more threads can be started: where one cannot, TVM
    aborts."""
    done = threading.Event()
    started = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError) as error:
        raise ArtifactTooLargeError(
            f"the program needs {count} more threads, this process can have {len(started)}"
        ) from error
    finally:
        done.set()
        for thread in started:
            thread.join()


def available_bytes() -> int:
    """Bytes that this process can take: what the machine has, its control groups and its own limit leave."""
    return min(_limits())


def _limits() -> Iterator[int]:
    yield 2**63
    if (free := _field("/proc/meminfo", "MemAvailable")) is not None:
        yield free
    size, _ = resource.getrlimit(resource.RLIMIT_AS)
    if size != resource.RLIM_INFINITY:
        yield size - (_field("/proc/self/status", "VmSize") or 0)
    for group in _groups():
        try:
            limit = int((group / "memory.max").read_text())
            used = int((group / "memory.current").read_text())
            statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            yield limit - used + int(statistics.get("inactive_file", 0))
        except (OSError, ValueError):
            continue  # no limit, or none that can be read


def _groups() -> Iterator[Path]:
    """The process's control group, of the unified hierarchy, and those around it."""
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for entry in entries:
        if entry.startswith("0::/"):
            group = _CGROUPS / entry[4:]
            yield from (group, *(outer for outer in group.parents if outer.is_relative_to(_CGROUPS)))


def _field(file: str, name: str) -> int | None:
    """A size of a file of `name: number kB` lines, in bytes."""
    try:
        for line in Path(file).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
