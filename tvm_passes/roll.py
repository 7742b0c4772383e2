"""Results of a chain's stages move from planes to rings that keep the rows that are still to be read.

    tensor[channel][row] → ring[channel][row - first(tile)],   first(tile) ≤ row < first(tile) + kept

Place: when a chain is decided on, before tensors are placed. Who reads a ring in the course of a tile finds
its rows where `at_tile` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from .channel_view import BlockView, ChannelView
from .geometry import Halo
from .lowering.operands import Operand
from .lowering.steps import ChainStep, StageStep
from .placement import Blocked, RollingMemory
from .row_tiles import Ring, RowTiles

Moved = Mapping[Blocked, Blocked]
"""Tensors by those that take their place."""


def roll(bands: Sequence[RowTiles]) -> ChainStep:
    """The chain as a step; tensors of rings are replaced by others, in memories of each band's own."""
    return ChainStep(tuple(_rolled(band, len(bands)) for band in bands))


def _rolled(tiles: RowTiles, tasks: int) -> RowTiles:
    """One of as many bands as there are `tasks`."""
    moved: dict[Blocked, Blocked] = {}
    for ring in tiles.rings:
        memory = _memory(ring)
        moved |= {tensor: attrs.evolve(tensor, memory=memory) for tensor in ring.tensors}
    rings = tuple(attrs.evolve(r, tensors=tuple(moved[t] for t in r.tensors)) for r in tiles.rings)
    stages = (stage_at(step, moved) for step in tiles.stages)
    apart = tuple(
        step if step.winograd is None else attrs.evolve(step, winograd=step.winograd.for_one_of(tasks))
        for step in stages
    )
    return attrs.evolve(tiles, stages=apart, rings=rings)


def _memory(ring: Ring) -> RollingMemory:
    first = ring.tensors[0]
    assert first.memory is not None
    halo = Halo()
    for tensor in ring.tensors:
        halo = halo.union(tensor.halo)
    return RollingMemory(first.extent, halo, first.memory.needs_zeros, kept=ring.kept)


def at_tile(tiles: RowTiles, tile: int, image: int = 0) -> Moved:
    """Every tensor of a ring as it lies in the course of a tile, with rows of that image."""
    moved: dict[Blocked, Blocked] = {}
    for ring in tiles.rings:
        memory = ring.tensors[0].memory
        assert isinstance(memory, RollingMemory)
        here = attrs.evolve(memory, first=ring.firsts[tile], image=image)
        moved |= {tensor: attrs.evolve(tensor, memory=here, root=tensor) for tensor in ring.tensors}
    return moved


def stage_at(step: StageStep, moved: Moved) -> StageStep:
    """The stage reading and writing the tensors that took the place of its own, where they lie."""
    plan = step.winograd
    return attrs.evolve(
        step,
        view=_view(step.view, moved),
        blocks=step.blocks and _blocks(step.blocks, moved),
        operands=tuple(o and Operand(o.access, _view(o.view, moved)) for o in step.operands),
        output=moved.get(step.output, step.output),
        winograd=plan and attrs.evolve(plan, blocks=_blocks(plan.blocks, moved)),
    )


def _blocks(view: BlockView, moved: Moved) -> BlockView:
    return BlockView(
        tuple((moved.get(tensor, tensor), block) for tensor, block in view.blocks), view.positions
    )


def _view(view: ChannelView, moved: Moved) -> ChannelView:
    """The view of the moved tensors, in the memory where they lie."""
    tensors = tuple(moved.get(tensor, tensor) for tensor in view.tensors)
    memory = tensors[0].memory
    assert memory is not None
    return attrs.evolve(view, tensors=tensors, memory=memory)
