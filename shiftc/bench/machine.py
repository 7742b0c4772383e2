"""On what machine, with what versions, a number was measured."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import attrs
from tvm.target import codegen

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@attrs.frozen
class Machine:
    """processor: as the system calls it, and its architecture as LLVM does: some names say little.
    cores: those this process may use.
    """

    processor: str
    architecture: str
    cores: int
    system: str
    python: str

    @property
    def slug(self) -> str:
        """A file name for this machine's results."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.processor} {self.cores} cores".lower()).strip("-")


def this_machine() -> Machine:
    """Describes the machine this process runs on."""
    return Machine(
        processor=f"{_processor()} ({codegen.llvm_get_system_cpu()})",
        architecture=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def cache_bytes(level: int) -> int | None:
    """Size of the first core's data cache of that level; None where the system does not say."""
    for folder in sorted(_CACHES.glob("index*")):
        try:
            entry = {name: (folder / name).read_text().strip() for name in ("level", "type", "size")}
        except OSError:
            continue
        if entry["level"] == str(level) and entry["type"] != "Instruction":
            return int(entry["size"].removesuffix("K")) * 1024
    return None
