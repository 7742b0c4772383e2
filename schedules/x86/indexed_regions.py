"""The regions of an indexed convolution's output, each of equal register tiles, and their statements."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import attrs
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.emit import Buffers, Expr, address
from schedules.machine import MachineParameters
from schedules.parallelism import divides_evenly
from schedules.template import Decisions, largest_divisor, tiles
from schedules.workload import IndexedConv
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.register_tile import weight_bytes


@attrs.frozen
class Region:
    """A part of the output cut into equal tiles: `blocks` and `pixels` are (start, count, tile)."""

    index: int
    blocks: tuple[int, int, int]
    pixels: tuple[int, int, int]

    def panels(self, decisions: Decisions) -> int:
        """How many: as large as decided, or the next smaller size that divides the tiles of blocks."""
        _, blocks, tile = self.blocks
        return blocks // tile // largest_divisor(blocks // tile, decisions["panel"])

    def chunks(self, decisions: Decisions) -> int:
        """How many, likewise of the tiles of pixels."""
        _, pixels, tile = self.pixels
        return pixels // tile // largest_divisor(pixels // tile, decisions["chunk"])

    def shares_pixels(self, tasks: int) -> bool:
        """Whether so many tasks get equally many tiles of pixels."""
        _, pixels, tile = self.pixels
        return divides_evenly(pixels // tile, tasks)


def regions(workload: IndexedConv, decisions: Decisions) -> Iterator[Region]:
    """At most four: whole tiles, and the remainders below and beside them."""
    index = 0
    for blocks in tiles(workload.blocks, decisions["block_tile"]):
        for pixels in tiles(workload.pixels, decisions["pixel_tile"]):
            yield Region(index, blocks, pixels)
            index += 1


def are_joint(workload: IndexedConv, decisions: Decisions, machine: MachineParameters, tasks: int) -> bool:
    """Whether all pixels of a panel come before the next panel, those too that are left beside whole tiles.

    Weights that leave the second cache come once then, not once for each region. `tasks` share the panels.
    """
    parts = list(regions(workload, decisions))
    whole = all(part.chunks(decisions) == 1 for part in parts)
    even = all(divides_evenly(part.panels(decisions), tasks) for part in parts)
    return whole and even and weight_bytes(workload) > machine.l2_bytes // 2


def emit_regions(
    workload: IndexedConv, decisions: Decisions, joint: bool, tasks: int, buffers: Buffers
) -> None:
    """All regions, one after the other; or those of the same blocks panel by panel, which tasks share."""
    for _, group in groupby(
        enumerate(regions(workload, decisions)), lambda r: r[1].blocks if joint else r[0]
    ):
        parts = [region for _, region in group]
        panels = parts[0].panels(decisions) if joint else 1
        with outer_loop(panels, tasks > 1) as panel:
            for region in parts:
                _emit_region(workload, region, panels, panel, buffers)


def _emit_region(workload: IndexedConv, region: Region, panels: int, panel: Expr, buffers: Buffers) -> None:
    """All of a region, or one of so many panels of it."""
    (first_block, blocks, block_tile), (first_pixel, pixels, _) = region.blocks, region.pixels
    lanes, channels = workload.lanes, workload.virtual_channels
    accumulator = T.sblock_alloc_buffer((blocks, pixels, lanes), "float32")
    shape = (blocks // panels, pixels, lanes)
    with T.grid(*shape, channels) as (i, j, k, r), T.sblock(f"multiply_add_{region.index}"):
        o = T.axis.spatial(blocks, panel * shape[0] + i)
        p, v, c = T.axis.remap("SSR", [j, k, r])
        with T.init():
            start = epilogue.initial_value(workload.epilogue, buffers, o + first_block, v, lanes)
            T.buffer_store(accumulator, start, [o, p, v])
        table = (o + first_block) * workload.tables // workload.blocks if workload.tables > 1 else 0
        x = buffers["x"][address(buffers["ct"][table * channels + c], buffers["pt"][p + first_pixel])]
        tile = first_block * channels * lanes + (o // block_tile) * (channels * block_tile * lanes)
        weight = buffers["k"][tile + c * (block_tile * lanes) + (o % block_tile) * lanes + v]
        T.buffer_store(accumulator, accumulator[o, p, v] + x * weight, [o, p, v])
    with T.grid(*shape) as (i, j, k), T.sblock(f"store_{region.index}"):
        o = T.axis.spatial(blocks, panel * shape[0] + i)
        p, v = T.axis.remap("SS", [j, k])
        at = epilogue.Position(o + first_block, p + first_pixel, v, lanes)
        value = epilogue.finish_sum(workload.epilogue, accumulator[o, p, v], buffers, at)
        y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
        T.buffer_store(buffers["y"], value, [y])
