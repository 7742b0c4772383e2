"""What the indexed convolution fetches ahead while it sums a tile: the pixels of a later one."""

from __future__ import annotations

from typing import Any

from tvm import tirx

from schedules.emit import Buffers, address
from schedules.prefetch import Statement, prefetch_if
from schedules.template import Decisions, divisors
from schedules.workload import IndexedConv
from schedules.x86.sweep import Sweep

Expr = Any

_FEWEST_ROUNDS = 4
"""Fewer would be unrolled."""


def rounds_of_run(workload: IndexedConv, decisions: Decisions) -> int:
    """Rounds of the unrolled reduction between two places where something may be fetched; 1 if nothing is.

    They are a loop of their own, whose body stays as it is: beside a fetch LLVM loads what a body multiplies
    far ahead, and lacks the registers. A run of channels is a block of them where pixels are fetched ahead.
    """
    if _fetches(workload, decisions):
        return workload.lanes // decisions["unroll"]
    if decisions["k_panels"] == 1:
        return 1
    steps = workload.virtual_channels // decisions["unroll"]
    return min((rounds for rounds in divisors(steps, steps) if rounds >= _FEWEST_ROUNDS), default=steps)


def _fetches(workload: IndexedConv, decisions: Decisions) -> bool:
    """Whether it is decided, and runs of channels are blocks of them."""
    whole = workload.virtual_channels % workload.lanes == 0 and workload.lanes % decisions["unroll"] == 0
    return whole and decisions["x_tiles"] > 1


def pixels_ahead(
    workload: IndexedConv, decisions: Decisions, sweep: Sweep, buffers: Buffers
) -> Statement | None:
    """For every run of channels, fetch its line of each pixel of a later tile; None if there is none.

    Once for all blocks: later panels find the chunk in the second cache. A planar x has more lines than are
    fetched; its rows are streams that the processor follows by itself.
    """
    chunks, panels, tiles, panel = sweep.extents
    at_chunk, at_panel, at_tile, at_block = sweep.at
    ahead, count = decisions["x_tiles"] - 1, chunks * tiles
    if not _fetches(workload, decisions) or count <= ahead:
        return None
    block = sweep.region.blocks[0] + (at_panel * panel + at_block) * sweep.region.blocks[2]
    table = block * workload.tables // workload.blocks if workload.tables > 1 else 0
    channel = buffers["ct"][table * workload.virtual_channels + sweep.run * workload.lanes]
    first_pixel, _, tile = sweep.region.pixels
    at = at_chunk * tiles + at_tile
    exists = at < count - ahead
    if workload.tables == 1:
        once = [(at_block, panel), *([(at_panel, panels)] if chunks > 1 else [])]
        exists = tirx.all(exists, *(tirx.EQ(i, tirx.IntImm("int32", 0)) for i, n in once if n > 1))
    pixels = (first_pixel + (at + ahead) * tile + i for i in range(tile))
    return prefetch_if(exists, buffers["x"], [address(channel, buffers["pt"][p]) for p in pixels])
