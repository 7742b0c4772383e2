"""A program whose intermediates all lie in the first cache: the same kernels, called with other addresses.

    x[base(block) + offset(pixel)]  →  x'[base(block) % W + offset(pixel) % W]

A kernel reads addresses from tables, so with entries modulo `WINDOW` it reads and writes a few KiB, whatever
the size of its tensors, and does everything else as before. What it reads is memory that nobody writes:
numbers put there once, of the magnitude of activations. So results mean nothing, and no kernel meets values
(infinities, denormals, magnitudes for which products are not paired) that it would not meet otherwise.

What lies elsewhere than at an entry's address stays where it is: inputs and outputs, and the patches and
products of Winograd's dense form, in chunks that the second cache holds. A depthwise kernel has the distance
between rows in its code; it gets that of the narrowest rows that its tile does not read twice, and so reads
a plane of narrow rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import tvm

import schedules
from schedules.template import Kernel
from schedules.workload import Depthwise, GroupedWinograd
from tvm_passes.array import Array
from tvm_passes.constant_pool import ALIGNMENT
from tvm_passes.lowered import Lowered
from tvm_passes.lowering.context import ARENA, Invocation
from tvm_passes.placement import Address

WINDOW = 1024
"""Elements; what is read takes twice as many, and so does what is written."""
_ITEM = 4
_OF_OPERAND = ("ct", "pt", "line", "xo", "xn", "xp", "xb", "xl", "row", "col")
_OF_RESULT = ("yo", "yp")
_LARGEST_PLANE = 1 << 22
"""Bytes behind the start of what is read: more than a plane of narrow rows takes."""


@attrs.frozen(eq=False)
class Windowed:
    """The program, and the bytes of its arena that are to be filled with numbers before it runs."""

    lowered: Lowered
    read: slice


def in_first_cache(lowered: Lowered, target: tvm.target.Target) -> Windowed:
    """The lowered program of one thread, its intermediates in one window for reading and one for writing."""
    written = -(-lowered.arena_bytes // ALIGNMENT) * ALIGNMENT
    read = written + 4 * WINDOW * _ITEM
    end = read + _LARGEST_PLANE
    constants = _Constants(lowered.constants)
    move = _Moved(constants, Address("arena", read), Address("arena", written), target)
    calls = [call.with_each(move.invocation) for call in lowered.calls]
    blob = constants.blob()
    moved = attrs.evolve(lowered, constants=blob, arena_bytes=end, calls=tuple(calls), helped=())
    return Windowed(moved, slice(read, end))


class _Constants:
    """Constants as they are, and tables of moved addresses behind them: as many as there were."""

    def __init__(self, constants: Array) -> None:
        self._parts = [constants]
        self._size = constants.size
        self._known: dict[tuple[int, int], Address] = {}

    def blob(self) -> Array:
        return np.concatenate(self._parts)

    def table(self, address: Address, extent: int) -> Array:
        """The entries of a table."""
        start = address.offset
        return np.array(self._parts[0][start : start + _ITEM * extent].view(np.int32))

    def folded(self, address: Address, extent: int) -> Address:
        """A table's entries modulo the window."""
        key = address.offset, extent
        if key not in self._known:
            entries = self.table(address, extent) % WINDOW
            size = -(-entries.nbytes // ALIGNMENT) * ALIGNMENT
            part = np.zeros(size, np.uint8)
            part[: entries.nbytes] = entries.astype(np.int32).view(np.uint8)
            self._known[key] = Address("constants", self._size)
            self._parts.append(part)
            self._size += size
        return self._known[key]


@attrs.frozen(eq=False)
class _Moved:
    """Invocations with other addresses."""

    constants: _Constants
    read: Address
    written: Address
    target: tvm.target.Target

    def invocation(self, invocation: Invocation) -> Invocation:
        if invocation.kernel is None:
            return invocation
        kernel = with_narrow_rows(invocation.kernel, self.target)
        arguments = self._arguments(kernel, invocation.arguments)
        return attrs.evolve(invocation, symbol=kernel.name, arguments=tuple(arguments), scheduled=kernel)

    def _arguments(self, kernel: Kernel, addresses: Sequence[Address]) -> Iterator[Address]:
        named = dict(zip(kernel.parameters, addresses, strict=True))
        for name, address in named.items():
            tensor = _tensor_of(name, kernel)
            if tensor is None or named[tensor] != ARENA:
                yield address
            elif name == tensor:
                yield self.written if name == "y" else self.read
            else:
                yield self.constants.folded(address, kernel.buffers[name][1])


def _tensor_of(name: str, kernel: Kernel) -> str | None:
    """The tensor that an argument is, or whose addresses it holds."""
    if name == "ct" and isinstance(kernel.workload, GroupedWinograd):  # lanes of patches, no addresses
        return None
    if name in _OF_OPERAND:
        return "x"
    if name in _OF_RESULT:
        return "y"
    return name.split("_")[0] if name in ("x", "y") or name.startswith("e") else None


def with_narrow_rows(kernel: Kernel, target: tvm.target.Target) -> Kernel:
    """A depthwise kernel of the same decisions for rows as narrow as its tile is wide; others as they are."""
    workload = kernel.workload
    if not isinstance(workload, Depthwise):
        return kernel
    size = math.isqrt(len(workload.taps))
    if size < 2 or size**2 != len(workload.taps):
        return kernel
    taps = np.array(workload.taps).reshape(size, size)
    pitch, across = int(taps[1, 0] - taps[0, 0]), taps[0] - taps[0, 0]
    reach = (kernel.decisions["column_tile"] - 1) * workload.column_step + int(across[-1]) + workload.lanes
    narrow = math.lcm(pitch, workload.row_step) // workload.row_step * reach if pitch else pitch
    if not 0 < narrow < pitch:
        return kernel
    moved = np.arange(size)[:, None] * narrow + across[None, :]
    narrowed = attrs.evolve(
        workload,
        row_step=workload.row_step * narrow // pitch,
        taps=tuple(int(tap) for tap in moved.reshape(-1)),
    )
    return schedules.build(narrowed, target, kernel.threads, kernel.decisions)
