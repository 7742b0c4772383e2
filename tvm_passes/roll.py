"""Results of a chain's stages move from planes to rings that keep the rows that are still to be read.

    tensor[channel][row] → ring[channel][row - first(tile)],   first(tile) ≤ row < first(tile) + kept

Place: when a chain is decided on, before tensors are placed. Who reads a ring in the course of a tile finds
its rows where `at_tile` says.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .channel_view import BlockView, ChannelView
from .geometry import Halo
from .lowering.operands import Operand
from .lowering.steps import ChainStep, StageStep
from .placement import Blocked, RollingMemory
from .row_tiles import Ring, RowTiles

Moved = Mapping[Blocked, Blocked]
"""Tensors by those that take their place."""


def roll(tiles: RowTiles) -> ChainStep:
    """The chain as a step; tensors of its rings are moved into memories of their own."""
    for ring in tiles.rings:
        memory = _memory(ring)
        for tensor in ring.tensors:
            tensor.memory = memory
    stages = tuple(stage_at(step, {}) for step in tiles.stages)
    return ChainStep(attrs.evolve(tiles, stages=stages))


def _memory(ring: Ring) -> RollingMemory:
    first = ring.tensors[0]
    assert first.memory is not None
    halo = Halo()
    for tensor in ring.tensors:
        halo = halo.union(tensor.halo)
    return RollingMemory(first.extent, halo, first.memory.needs_zeros, kept=ring.kept)


def at_tile(tiles: RowTiles, tile: int) -> Moved:
    """Every tensor of a ring as it lies in the course of a tile."""
    moved: dict[Blocked, Blocked] = {}
    for ring in tiles.rings:
        memory = ring.tensors[0].memory
        assert isinstance(memory, RollingMemory)
        here = attrs.evolve(memory, first=ring.firsts[tile])
        moved |= {tensor: attrs.evolve(tensor, memory=here) for tensor in ring.tensors}
    return moved


def stage_at(step: StageStep, moved: Moved) -> StageStep:
    """The stage reading and writing the tensors that took the place of its own, where they lie."""
    blocks = step.blocks and BlockView(
        tuple((moved.get(tensor, tensor), block) for tensor, block in step.blocks.blocks),
        step.blocks.positions,
    )
    return attrs.evolve(
        step,
        view=_view(step.view, moved),
        blocks=blocks,
        operands=tuple(o and Operand(o.access, _view(o.view, moved)) for o in step.operands),
        output=moved.get(step.output, step.output),
    )


def _view(view: ChannelView, moved: Moved) -> ChannelView:
    """The view of the moved tensors, in the memory where they lie."""
    tensors = tuple(moved.get(tensor, tensor) for tensor in view.tensors)
    memory = tensors[0].memory
    assert memory is not None
    return attrs.evolve(view, tensors=tensors, memory=memory)
