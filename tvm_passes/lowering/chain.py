"""A chain: for every image and tile, the rows of each stage that are due, one stage after the other.

Before that, rows of rings that go on being read are carried to where they lie next, and rows above and below
the plane become zeros. A stage's kernels are those of as many rows as a tile has; addresses are data, so
tiles of equally many rows share them. Of several bands, each is one task's: its kernels are those of one
thread, and nobody waits before the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from ..compiled import KernelRecord
from ..placement import Blocked
from ..roll import Moved, at_tile, stage_at
from ..row_tiles import Ring, RowTiles
from .context import KernelCall, LoweringContext, Phase, side_by_side
from .copies import lower_carry, lower_zero_rows
from .steps import ChainStep, StageStep, Strip

LowerStage = Callable[[LoweringContext, StageStep], KernelCall]


def lower_chain(
    context: LoweringContext, step: ChainStep, record: KernelRecord, lower_stage: LowerStage
) -> KernelCall:
    """The calls of all tiles, in order; a run of each band if there are several."""
    if len(step.bands) == 1:
        return KernelCall(tuple(_phases(context, step.bands[0], lower_stage)), record)
    alone = attrs.evolve(context, threads=1)
    calls = (KernelCall(tuple(_phases(alone, band, lower_stage)), record) for band in step.bands)
    return KernelCall((tuple(tuple(call.invocations) for call in calls),), record)


def _phases(context: LoweringContext, tiles: RowTiles, lower_stage: LowerStage) -> Iterator[Phase]:
    for image in tiles.images:
        lies = [at_tile(tiles, tile, image) for tile in range(tiles.tiles)]
        for tile in range(tiles.tiles):
            yield from _carried(context, tiles, lies, tile)
            for stage, cuts in zip(tiles.stages, tiles.cuts, strict=True):
                if cuts[tile] < cuts[tile + 1]:
                    strip = Strip(image, cuts[tile], cuts[tile + 1])
                    part = attrs.evolve(stage_at(stage, lies[tile]), strip=strip)
                    yield from lower_stage(context, part).phases


def _carried(context: LoweringContext, tiles: RowTiles, lies: list[Moved], tile: int) -> Iterator[Phase]:
    """What happens to rings before a tile: carrying side by side, then zeros side by side."""
    carries = [
        lower_carry(context, lies[tile - 1][tensor], lies[tile][tensor], rows)
        for ring in tiles.rings
        for tensor in ring.tensors
        for before, rows in tiles.carries(ring, tensor)
        if before == tile
    ]
    zeros = [
        lower_zero_rows(context, lies[tile][tensor], rows)
        for ring in tiles.rings
        for tensor in ring.tensors
        for rows in _outside(ring, tensor, tile)
    ]
    yield from (side_by_side(group) for group in (carries, zeros) if group)


def _outside(ring: Ring, tensor: Blocked, tile: int) -> Iterator[range]:
    """Rows outside the plane that this tile is the first to read, or that lie elsewhere than before."""
    if tile == 0 and ring.firsts[0] < 0:
        yield range(ring.firsts[0], 0)
    if ring.lasts[tile] > tensor.extent.rows:
        yield range(tensor.extent.rows, ring.lasts[tile])
