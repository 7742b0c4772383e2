"""Which processor features a library needs and which ones this machine has, without LLVM.

A library compiled for a richer processor dies of an illegal instruction; comparing the target's
features with /proc/cpuinfo tells so beforehand. Only features that code generation uses are compared.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")

_X86 = {
    # LLVM's name: the kernel's name
    "sse3": "pni",
    "ssse3": "ssse3",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "popcnt": "popcnt",
    "lzcnt": "abm",
    "movbe": "movbe",
    "bmi": "bmi1",
    "bmi2": "bmi2",
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avxvnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512cd": "avx512cd",
    "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
}

_AARCH64 = {
    "neon": "asimd",
    "dotprod": "asimddp",
    "fullfp16": "asimdhp",
    "lse": "atomics",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
}

_KERNEL_NAMES = {"x86_64": _X86, "aarch64": _AARCH64}


def relevant_features(features: Iterable[str], machine: str) -> tuple[str, ...]:
    """Those of LLVM's `features` that this module can look up on a `machine`, sorted."""
    return tuple(sorted(set(features) & set(_KERNEL_NAMES.get(machine, {}))))


def missing_features(features: Iterable[str]) -> tuple[str, ...]:
    """Those of `features` (LLVM's names) that this machine's processor lacks, sorted.

    Empty where the processor cannot be asked.
    """
    flags = _host_flags()
    names = _KERNEL_NAMES.get(platform.machine(), {})
    if not flags:
        return ()
    return tuple(sorted(feature for feature in features if names.get(feature, "") not in flags))


@functools.cache
def _host_flags() -> frozenset[str]:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
