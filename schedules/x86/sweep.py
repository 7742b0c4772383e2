"""The loops of an indexed convolution around its register tile, as what is fetched ahead sees them."""

from __future__ import annotations

import math
from typing import Any

import attrs
from tvm.s_tir import Schedule

from schedules.x86.indexed_regions import Region

Expr = Any

Extents = tuple[int, int, int, int]
"""Of the loops around a tile: chunks of pixels, panels of blocks, tiles of a chunk, tiles of a panel."""

_INSIDE = 5
"""Loops within a run of channels: rounds, steps of the body, pixels and blocks of the tile, lanes."""


@attrs.frozen
class Sweep:
    """The loops of a region, and the one over runs of channels inside.

    extents: of the region's loops; at: their indices.
    runs:    how many runs of channels there are; run: the loop over them, and its index.
    """

    region: Region
    extents: Extents
    at: tuple[Expr, ...]
    runs: int
    run: Any

    @classmethod
    def of(
        cls, schedule: Schedule, multiply_add: str, region: Region, extents: Extents, rounds: int
    ) -> Sweep:
        """Around a scheduled block: a loop over joint panels, and the others, which may be fused.

        rounds: of the body in a run; with one, there is no loop over them.
        """
        inside = _INSIDE if rounds > 1 else _INSIDE - 1
        loops = schedule.get_loops(schedule.get_sblock(multiply_add))[:-inside]
        joint, *outer, run = (schedule.get(loop) for loop in loops)
        at = [loop.loop_var for loop in outer]
        panels = extents[1] // int(joint.extent)  # of one iteration of the joint loop
        if len(at) == 1:
            sizes = (extents[0], panels, *extents[2:])
            further = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
            at = [at[0] // step % size for step, size in zip(further, sizes, strict=True)]
        at[1] = joint.loop_var * panels + at[1]
        return cls(region, extents, tuple(at), int(run.extent), run.loop_var)
