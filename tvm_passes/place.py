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
from .overwrite import overwritten
from .placement import Address, Blocked, BlockedMemory, Plain, RollingMemory, Tensor

ZERO_BYTES = 64
"""The arena starts with at least a cache line of zeros: what gathers read where a map reads nothing."""

Spans = Mapping[Tensor, tuple[int, int]]
Shared = tuple[list[Tensor], tuple[int, int]]
"""Tensors at one place, and from when to when it is taken."""


@attrs.frozen(eq=False)
class Arena:
    """The memory between inputs and outputs.

    bytes:       its size.
    lower_bound: the largest sum of bytes of tensors that are alive at one step, halos, unused lanes and
                 alignment left out: what no placement can go below.
    zeros:       bytes at its start that nobody writes.
    cleared:     by step, the tensors whose halos it zeroes while it writes them.
    overwritten: by result, the operand that it is written over; the two count as one tensor.
    """

    bytes: int
    lower_bound: int
    zeros: int = 0
    cleared: Mapping[Step, Sequence[Blocked]] = attrs.field(factory=dict)
    overwritten: Mapping[Blocked, Blocked] = attrs.field(factory=dict)


def place(steps: Sequence[Step], memories: Iterable[BlockedMemory]) -> Arena:
    """Place all tensors that the steps touch and that are neither inputs, outputs nor constants."""
    spans = {tensor: span for tensor, span in lifespans(steps).items() if wants_a_place(tensor)}
    over = overwritten(steps, spans)
    shared = _shared(spans, over)
    start = _aligned(max([ZERO_BYTES, *(4 * m.geometry.plane for m in memories if m.needs_zeros)]))
    sizes = [Lifetime(_aligned(bytes_of(members[0])), *span) for members, span in shared]
    offsets, size = allocate(sizes, ZERO_BYTES)
    for (members, _), offset in zip(shared, offsets, strict=True):
        for tensor in members:
            if isinstance(tensor, Blocked):
                tensor.base = (start + offset) // 4
            else:
                tensor.address = Address("arena", start + offset)
    cleared = lost_halos(steps, {tensor: first for tensor, (first, _) in spans.items()}, start + size)
    return Arena(start + size, _lower_bound(shared), start, cleared, over)


def lifespans(steps: Sequence[Step]) -> dict[Tensor, tuple[int, int]]:
    """First and last step of every tensor that a step reads or writes."""
    spans: dict[Tensor, tuple[int, int]] = {}
    for index, step in enumerate(steps):
        for tensor in step.tensors:
            key = (tensor.root or tensor) if isinstance(tensor, Plain) else tensor
            first, _ = spans.get(key, (index, index))
            spans[key] = (first, index)
    return spans


def _shared(spans: Spans, over: Mapping[Blocked, Blocked]) -> list[Shared]:
    """Tensors that lie at one place, because each is written over the one before."""
    members: dict[Tensor, list[Tensor]] = {}
    place_of: dict[Tensor, Tensor] = {}
    for tensor in sorted(spans, key=lambda t: spans[t][0]):  # who is written over comes first
        below = over.get(tensor) if isinstance(tensor, Blocked) else None
        place_of[tensor] = tensor if below is None else place_of[below]
        members.setdefault(place_of[tensor], []).append(tensor)
    return [(m, (spans[m[0]][0], max(spans[t][1] for t in m))) for m in members.values()]


def _lower_bound(shared: Sequence[Shared]) -> int:
    """The most bytes that are alive at once, of elements of the model alone."""

    def elements(tensor: Tensor) -> int:
        if isinstance(tensor, Plain):
            return tensor.bytes
        e = tensor.extent
        rows = tensor.memory.kept if isinstance(tensor.memory, RollingMemory) else e.batch * e.rows
        return 4 * tensor.channels * rows * e.columns

    return most_alive_at_once([Lifetime(elements(members[0]), *span) for members, span in shared])


def wants_a_place(tensor: Tensor) -> bool:
    """It is neither an input, an output nor a constant."""
    if isinstance(tensor, Blocked):
        return not tensor.is_callers
    return tensor.address is None and tensor.value is None


def bytes_of(tensor: Tensor) -> int:
    """What a tensor takes, halos and unused lanes included."""
    return tensor.bytes if isinstance(tensor, Plain) else 4 * tensor.blocks * tensor.geometry.plane


def _aligned(size: int) -> int:
    return -(-size // ZERO_BYTES) * ZERO_BYTES
