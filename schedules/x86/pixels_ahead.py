"""What the indexed convolution fetches ahead while it sums a tile: the pixels of a later one."""

from __future__ import annotations

from typing import Any

import attrs
from tvm import tirx
from tvm.s_tir import Schedule

from schedules.emit import Buffers, address
from schedules.prefetch import Statement, prefetch_if
from schedules.template import Decisions
from schedules.workload import IndexedConv

Expr = Any

_INSIDE = 5
"""Loops within a chunk: rounds, steps of the body, pixels and blocks of the tile, lanes."""


@attrs.frozen
class Sweep:
    """The loops of a region: its panels, pixel tiles, block tiles of a panel, and chunks of the reduction.

    extents: of the first three; at: their indices; chunk: the index of the fourth.
    """

    extents: tuple[int, int, int]
    at: tuple[Expr, Expr, Expr]
    chunk: Any

    @classmethod
    def of(cls, schedule: Schedule, multiply_add: str, extents: tuple[int, int, int]) -> Sweep:
        """Around a scheduled block; the first three loops may be fused."""
        loops = schedule.get_loops(schedule.get_sblock(multiply_add))
        *outer, chunk = (schedule.get(loop).loop_var for loop in loops[:-_INSIDE])
        if len(outer) == 1:
            _, tiles, blocks = extents
            outer = [outer[0] // (tiles * blocks), outer[0] // blocks % tiles, outer[0] % blocks]
        return cls(extents, (outer[0], outer[1], outer[2]), chunk)


def chunk_rounds(workload: IndexedConv, decisions: Decisions) -> int:
    """Rounds of the unrolled reduction that read one channel block; 1 where nothing is fetched ahead.

    They are a loop of their own: its body stays as it is.
    """
    whole = workload.virtual_channels % workload.lanes == 0 and workload.lanes % decisions["unroll"] == 0
    return workload.lanes // decisions["unroll"] if whole and decisions["x_tiles"] > 1 else 1


def pixels_ahead(
    workload: IndexedConv,
    decisions: Decisions,
    blocks: tuple[int, int, int],
    pixels: tuple[int, int, int],
    sweep: Sweep,
    buffers: Buffers,
) -> Statement | None:
    """In every chunk, fetch its channel block's line of each pixel of a later tile; None if there is none.

    A planar x has more lines than are fetched; its rows are streams that the processor follows by itself.

    blocks, pixels: (first, count, tile) of the region.
    """
    (_, tiles, panel), (at_panel, at_tile, at_block) = sweep.extents, sweep.at
    ahead = decisions["x_tiles"] - 1
    if chunk_rounds(workload, decisions) == 1 or tiles <= ahead:
        return None
    block = blocks[0] + (at_panel * panel + at_block) * blocks[2]
    table = block * workload.tables // workload.blocks if workload.tables > 1 else 0
    channel = buffers["ct"][table * workload.virtual_channels + sweep.chunk * workload.lanes]
    first = pixels[0] + (at_tile + ahead) * pixels[2]
    exists = at_tile < tiles - ahead
    if panel > 1 and workload.tables == 1:  # once for all blocks
        exists = tirx.all(exists, tirx.EQ(at_block, tirx.IntImm("int32", 0)))
    lines = [address(channel, buffers["pt"][first + i]) for i in range(pixels[2])]
    return prefetch_if(exists, buffers["x"], lines)
