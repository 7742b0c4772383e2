"""What a schedule must know about the processor it is written for: facts as data, no measurement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import attrs
import tvm


@attrs.frozen
class Lookup:
    """An instruction that looks up an entry for every lane of a vector, in a table of whole registers.

    entries:   float32 values in the table, a power of two: higher bits of a number do not count.
    intrinsic: LLVM's name. Operands: the table's first register, int32 numbers, the table's other registers.
    """

    entries: int
    intrinsic: str


@attrs.frozen
class MachineParameters:
    """One core of the target, seen by the analytic defaults of the templates.

    lanes:            float32 values in one vector register.
    vector_registers: architectural vector registers.
    address_registers: general-purpose registers a reduction loop has for the addresses of its pixels.
    fma_ports:        full-width fused multiply-adds started in a cycle.
    add_ports:        full-width additions started in a cycle beside multiply-adds; 0 where these share
                      their ports.
    load_ports:       full-width vector loads started in a cycle.
    fma_latency:      cycles until a dependent multiply-add can start.
    has_fma:          multiply and add are one instruction.
    embeds_broadcast: a multiply-add can take one scalar from memory for all lanes (AVX-512).
    lookup:           how full vectors are looked up in registers; None where that is not worth it.
    l1_bytes, l2_bytes: data caches of one core.
    unroll:           steps of a sum over channels in the body of its loop, where their number allows.
    burst_cycles:     of a register tile's epilogue, times the square of its vectors: few stores hide behind
                      the next tile's arithmetic, a burst of them does not.
    call_cycles:      to call a kernel and start its loops, its tables and weights in the second cache.
    copy_bytes_per_cycle: copied within the second cache.
    far_bytes_per_cycle: read from beyond the second cache, as far as arithmetic does not hide it.
    stream_bytes_per_cycle: of weights that are read once, from beyond the second cache, by a kernel that
                      multiplies meanwhile.
    l3_bytes:         of the last cache, what a program can count on: cores, and machines of a host, share it.
    memory_bytes_per_cycle: written or read beyond the last cache, by all cores.
    cache_line:       bytes.
    streams:          runs of memory that are written and read one after the other at once without slowing
                      each other down: what prefetchers follow and buffers of stores combine.
    cores:            how many threads a schedule may count on.
    """

    lanes: int
    vector_registers: int
    fma_ports: int
    load_ports: int
    add_ports: int = 0
    fma_latency: int = 4
    has_fma: bool = True
    embeds_broadcast: bool = False
    lookup: Lookup | None = None
    address_registers: int = 10
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 512 * 1024
    unroll: int = 4
    burst_cycles: float = 0.075
    call_cycles: float = 100.0
    copy_bytes_per_cycle: float = 16.0
    far_bytes_per_cycle: float = 256.0
    stream_bytes_per_cycle: float = 6.0
    l3_bytes: int = 8 << 20
    memory_bytes_per_cycle: float = 6.0
    cache_line: int = 64
    streams: int = 6
    cores: int = 1

    def for_lanes(self, lanes: int) -> MachineParameters:
        """The machine as code with narrower vectors sees it.

        Half-width instructions issue on two ports even where full-width ones take both at once.
        """
        if lanes >= self.lanes:
            return self
        return attrs.evolve(
            self, lanes=lanes, fma_ports=max(2, self.fma_ports), load_ports=max(2, self.load_ports)
        )


_BY_FEATURES: tuple[tuple[frozenset[str], MachineParameters], ...] = (
    (
        frozenset({"avx512f", "avx512vl"}),
        MachineParameters(
            lanes=16,
            vector_registers=32,
            fma_ports=2,
            load_ports=2,
            embeds_broadcast=True,
            lookup=Lookup(32, "llvm.x86.avx512.vpermi2var.ps.512"),
            l2_bytes=1 << 20,
        ),
    ),
    (
        frozenset({"avx2", "fma"}),
        MachineParameters(
            lanes=8, vector_registers=16, fma_ports=2, load_ports=2, l2_bytes=256 * 1024, unroll=8
        ),
    ),
    (
        frozenset({"sse2"}),
        MachineParameters(
            lanes=4, vector_registers=16, fma_ports=1, load_ports=1, has_fma=False, l2_bytes=256 * 1024
        ),
    ),
)
"""Instruction sets, the widest first: the first whose features are all present applies."""

_BY_CPU: Mapping[str, Mapping[str, Any]] = {
    # Zen 4 executes 512-bit instructions as two halves: one multiply-add and one load a cycle.
    # The defaults of calls and of bytes moved were measured here. A call: 45 cycles on chains that carry
    # nothing and leave no pixel over, 100 to 150 with what strips leave of their last tiles. Of what a third
    # cache holds arithmetic hides nearly all: 100 and more bytes a cycle, of tensors and of weights. Eight
    # cores share 32 MiB of it, of which half is counted on: an assumption. Weights that are read once keep up
    # with nine bytes a cycle (Winograd's products, seven tiles at a time), and no longer with thirteen.
    "znver4": {
        "fma_ports": 1,
        "add_ports": 1,
        "load_ports": 1,
        "l2_bytes": 1 << 20,
        "stream_bytes_per_cycle": 10.0,
        "l3_bytes": 16 << 20,
    },
    "znver5": {"add_ports": 2, "l1_bytes": 48 * 1024, "l2_bytes": 1 << 20, "l3_bytes": 16 << 20},
    "znver3": {
        "add_ports": 2,
        "l2_bytes": 512 * 1024,
        "l3_bytes": 16 << 20,
        "burst_cycles": 0.125,
        "far_bytes_per_cycle": 32.0,
    },
    "znver2": {"add_ports": 2, "l2_bytes": 512 * 1024},
    "znver1": {"fma_ports": 1, "add_ports": 1, "load_ports": 1, "l2_bytes": 512 * 1024},
    "skylake-avx512": {"l2_bytes": 1 << 20},
    "cascadelake": {"l2_bytes": 1 << 20},
    "icelake-server": {"l1_bytes": 48 * 1024, "l2_bytes": 1280 * 1024},
    "icelake-client": {"fma_ports": 1, "l1_bytes": 48 * 1024, "l2_bytes": 512 * 1024},
    "tigerlake": {"fma_ports": 1, "l1_bytes": 48 * 1024, "l2_bytes": 1280 * 1024},
    "sapphirerapids": {"l1_bytes": 48 * 1024, "l2_bytes": 2 << 20},
    "graniterapids": {"l1_bytes": 48 * 1024, "l2_bytes": 2 << 20},
    "alderlake": {"l1_bytes": 48 * 1024, "l2_bytes": 1280 * 1024},
}
"""Processors that differ from their instruction set's usual figures."""


class UnknownMachineError(ValueError):
    """The target has no machine parameters: no template is written for it."""


def machine_of(target: tvm.target.Target) -> MachineParameters:
    """Machine parameters of an LLVM `target`, from its CPU's features.

    Raises UnknownMachineError if the target is not LLVM or no known instruction set is present.
    """
    if target.kind.name != "llvm":
        raise UnknownMachineError(f"no schedules for target kind '{target.kind.name}', only for llvm")
    return _machine_of(str(target))


@cache  # every kernel asks, and LLVM takes a third of a millisecond to list the features
def _machine_of(text: str) -> MachineParameters:
    target = tvm.target.Target(json.loads(text))
    features = {str(name) for name in tvm.target.codegen.llvm_get_cpu_features(target)}
    cpu = str(target.attrs.get("mcpu", ""))
    for required, parameters in _BY_FEATURES:
        if required <= features:
            cores = int(target.attrs.get("num-cores", 1))
            return attrs.evolve(parameters, cores=cores, **_BY_CPU.get(cpu, {}))
    raise UnknownMachineError(f"no schedules for the instruction set of CPU '{cpu or 'generic'}'")
