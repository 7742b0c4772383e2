"""Which halos have lost their zeros when their tensor is written, because another tensor lay there.

The arena is zero when a session begins, and nobody writes into a halo of zeros as such. But the elements
of a tensor may lie where another tensor, of another extent or at another place, has its halo later. Where
that happens, the step that first writes the later tensor zeroes its halo again: a few pixels around every
plane, where keeping extents apart would take a memory for each.

Found by walking the steps over a map of the arena that knows which elements may be other than zero. A
program runs many times over one arena, so the walk is repeated, from where it ended, until it finds nothing
new; every element is then at the start of a run what it will be at its end.
Place: after tensors are placed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from .array import Array
from .geometry import Halo
from .lowering.steps import Step
from .placement import Blocked, Plain


def lost_halos(
    steps: Sequence[Step], first: Mapping[Blocked | Plain, int], arena_bytes: int
) -> dict[Step, list[Blocked]]:
    """By step, the tensors whose halos it must zero.

    first: the step that first writes each tensor of the arena.
    """
    order = sorted(first, key=first.__getitem__)
    written = np.zeros(arena_bytes // 4, bool)
    lost: set[Blocked] = set()
    _run(order, written, lost)
    while _run(order, written, lost):
        pass
    cleared: dict[Step, list[Blocked]] = defaultdict(list)
    for tensor in order:
        if tensor in lost:
            assert isinstance(tensor, Blocked)
            cleared[steps[first[tensor]]].append(tensor)
    return dict(cleared)


def _run(order: Sequence[Blocked | Plain], written: Array, lost: set[Blocked]) -> bool:
    """One run of the program on the map; whether halos joined those that are `lost`."""
    known = len(lost)
    for tensor in order:
        if isinstance(tensor, Plain):
            assert tensor.address is not None
            start = tensor.address.offset
            written[start // 4 : -(-(start + tensor.bytes) // 4)] = True
        elif tensor.extent.border == "zero":
            halo = tensor.geometry.around(tensor.halo) // tensor.extent.lanes
            pixels = _planes(written, tensor).reshape(tensor.blocks, -1, tensor.extent.lanes)
            if tensor in lost or pixels[:, halo].any():
                lost.add(tensor)
                pixels[:, halo] = False
            _planes(written, tensor)[tensor.geometry.within(Halo())] = True
        else:  # its halo is written whenever it is
            _planes(written, tensor)[:] = True
    return len(lost) > known


def _planes(written: Array, tensor: Blocked) -> Array:
    """The part of the map that is the tensor: [blocks, clips, batch of a clip, rows, columns, lanes]."""
    start, geometry = int(tensor.block_base(0)), tensor.geometry
    planes = written[start : start + tensor.blocks * geometry.plane]
    return planes.reshape(tensor.blocks, *geometry.shape)
