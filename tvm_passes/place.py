"""Gives every tensor its place in the arena: lifetimes overlaid within each memory, memories in a row.

Blocked tensors of one extent share a memory of equal planes; plain tensors lie behind all of them.
Place: the planner's last act, when halos have stopped growing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from .arena import Lifetime, allocate
from .lowering.steps import Step
from .placement import Address, Blocked, BlockedMemory, Plain

ZERO_BYTES = 64
"""The arena starts with a cache line of zeros: what gathers read where a map reads nothing."""


def place(steps: Sequence[Step], memories: Iterable[BlockedMemory]) -> int:
    """Place all tensors that the steps touch; the bytes of the arena."""
    spans = lifespans(steps)
    end = ZERO_BYTES
    for memory in sorted(memories, key=lambda m: attrs.astuple(m.extent)):
        residents = [t for t in spans if isinstance(t, Blocked) and t.extent == memory.extent]
        offsets, memory.planes = allocate([Lifetime(t.blocks, *spans[t]) for t in residents])
        for tensor, offset in zip(residents, offsets, strict=True):
            tensor.first_plane = offset
        if memory.needs_zeros:
            memory.zero_plane = memory.planes
            memory.planes += 1
        memory.base = end // 4
        end += _aligned(memory.planes * memory.geometry.plane * 4)
    loose = [t for t in spans if isinstance(t, Plain) and t.address is None and t.value is None]
    offsets, size = allocate([Lifetime(_aligned(t.bytes), *spans[t]) for t in loose])
    for plain, offset in zip(loose, offsets, strict=True):
        plain.address = Address("arena", end + offset)
    return end + size


def lifespans(steps: Sequence[Step]) -> dict[Blocked | Plain, tuple[int, int]]:
    """First and last step of every tensor that a step reads or writes."""
    spans: dict[Blocked | Plain, tuple[int, int]] = {}
    for index, step in enumerate(steps):
        for tensor in step.tensors:
            key = (tensor.root or tensor) if isinstance(tensor, Plain) else tensor
            first, _ = spans.get(key, (index, index))
            spans[key] = (first, index)
    return spans


def _aligned(size: int) -> int:
    return -(-size // ZERO_BYTES) * ZERO_BYTES
