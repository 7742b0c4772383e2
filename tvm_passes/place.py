"""Gives every tensor its place in the arena, lifetimes overlaid whatever the tensors' layouts.

An address is `base(channel) + offset(pixel)`, so a tensor's planes may lie anywhere: only their shape is
that of the others of its extent. What it costs is that halos lose their zeros, see `halo_zeros`.
Place: the planner's last act, when halos have stopped growing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from .arena import Lifetime, allocate, most_alive_at_once
from .halo_zeros import lost_halos
from .lowering.steps import Step
from .placement import Address, Blocked, BlockedMemory, Plain

ZERO_BYTES = 64
"""The arena starts with at least a cache line of zeros: what gathers read where a map reads nothing."""

Spans = Mapping[Blocked | Plain, tuple[int, int]]


@attrs.frozen(eq=False)
class Arena:
    """The memory between inputs and outputs.

    bytes:       its size.
    lower_bound: the largest sum of bytes of tensors that are alive at one step, halos, unused lanes and
                 alignment left out: what no placement can go below.
    cleared:     by step, the tensors whose halos it zeroes before it writes them.
    """

    bytes: int
    lower_bound: int
    cleared: Mapping[Step, Sequence[Blocked]]


def place(steps: Sequence[Step], memories: Iterable[BlockedMemory]) -> Arena:
    """Place all tensors that the steps touch and that are neither inputs, outputs nor constants."""
    spans = {tensor: span for tensor, span in lifespans(steps).items() if _wants_a_place(tensor)}
    zeros = max([ZERO_BYTES, *(4 * m.geometry.plane for m in memories if m.needs_zeros)])
    start = _aligned(zeros)
    offsets, size = allocate([Lifetime(_aligned(_bytes(t)), *span) for t, span in spans.items()], ZERO_BYTES)
    for tensor, offset in zip(spans, offsets, strict=True):
        if isinstance(tensor, Blocked):
            tensor.base = (start + offset) // 4
        else:
            tensor.address = Address("arena", start + offset)
    cleared = lost_halos(steps, {tensor: first for tensor, (first, _) in spans.items()}, start + size)
    return Arena(start + size, lower_bound(spans), cleared)


def lifespans(steps: Sequence[Step]) -> dict[Blocked | Plain, tuple[int, int]]:
    """First and last step of every tensor that a step reads or writes."""
    spans: dict[Blocked | Plain, tuple[int, int]] = {}
    for index, step in enumerate(steps):
        for tensor in step.tensors:
            key = (tensor.root or tensor) if isinstance(tensor, Plain) else tensor
            first, _ = spans.get(key, (index, index))
            spans[key] = (first, index)
    return spans


def lower_bound(spans: Spans) -> int:
    """The most bytes that are alive at once, of elements of the model alone."""

    def elements(tensor: Blocked | Plain) -> int:
        if isinstance(tensor, Plain):
            return tensor.bytes
        e = tensor.extent
        return 4 * tensor.channels * e.batch * e.rows * e.columns

    return most_alive_at_once([Lifetime(elements(tensor), *span) for tensor, span in spans.items()])


def _wants_a_place(tensor: Blocked | Plain) -> bool:
    return isinstance(tensor, Blocked) or (tensor.address is None and tensor.value is None)


def _bytes(tensor: Blocked | Plain) -> int:
    return tensor.bytes if isinstance(tensor, Plain) else 4 * tensor.blocks * tensor.geometry.plane


def _aligned(size: int) -> int:
    return -(-size // ZERO_BYTES) * ZERO_BYTES
