"""Which rows the stages of a chain compute, tile by tile, and which rows of their results are kept meanwhile.

The last stage of a chain computes `height` rows a tile. Whoever is read by others has
computed, at the end of a tile, all that these read in it:

    cut_i(t) = min(H_i, max_j reach_j(cut_j(t)))        j reads i;   cut(0) = 0, cut(T) = H     (`reach`)

So no row is computed twice, and the first tile, which fills the pipeline, computes the rows of the halo too.

Of a tensor that only the chain reads, the rows from the first that is still to be read to the last that is
computed are kept: a `Ring`. Before a tile, the rows that go on being read move to the start of its memory:
not sooner than they fit in front of where they lie.

Source: depth-first (fused-layer) execution, Alwani et al., "Fused-Layer CNN Accelerators", MICRO 2016.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import attrs

from .anchor import Window
from .channel_view import ChannelView
from .lowering.steps import StageStep
from .placement import Blocked
from .reach import Reach

Cuts = tuple[int, ...]
"""Rows of a stage that are computed before each tile, and behind the last: T + 1 numbers, from 0 to H."""


@attrs.frozen(eq=False)
class Ring:
    """Tensors that are read side by side, of which some rows are kept.

    kept:   how many rows.
    firsts: by tile, which row is the first of them; the first tile's may lie above the plane.
    lasts:  by tile, the row behind the last that is read; it may lie below the plane.
    """

    tensors: tuple[Blocked, ...]
    kept: int
    firsts: tuple[int, ...]
    lasts: tuple[int, ...]


@attrs.frozen(eq=False)
class RowTiles:
    """A chain cut into tiles of rows: of every stage its cuts, and what is kept in rings."""

    stages: tuple[StageStep, ...]
    cuts: tuple[Cuts, ...]
    rings: tuple[Ring, ...]

    @property
    def tiles(self) -> int:
        return len(self.cuts[0]) - 1

    def carries(self, ring: Ring, tensor: Blocked) -> Iterator[tuple[int, range]]:
        """The tiles before which rows of a ring's tensor move, and which rows."""
        (computed,) = (
            cuts for step, cuts in zip(self.stages, self.cuts, strict=True) if step.output is tensor
        )
        for tile in range(1, self.tiles):
            first, last = ring.firsts[tile], computed[tile]
            if ring.firsts[tile - 1] < first < last:
                yield tile, range(first, last)


@attrs.frozen(eq=False)
class _Read:
    """An operand of a stage of the chain, of which `step` rows are computed together."""

    stage: int
    view: ChannelView
    reach: Reach
    step: int

    def last(self, rows: int) -> int:
        """The row behind the last that the first `rows` results read."""
        return self.reach.last(_rounded_up(rows, self.step))


def row_tiles(stages: Sequence[StageStep], read_elsewhere: Collection[Blocked], height: int) -> RowTiles:
    """The stages, the last one's result cut into tiles of `height` rows.

    read_elsewhere: tensors that other steps read, which exist as a whole.
    """
    reads = [read for number, step in enumerate(stages) for read in _reads(number, step)]
    cuts = _cuts(stages, reads, height)
    rings = []
    for tensors in _rolling(stages, reads, read_elsewhere):
        ring = _ring(stages, reads, cuts, tensors)
        if ring.kept < tensors[0].geometry.batch_stride // tensors[0].geometry.row_stride:
            rings.append(ring)
    return RowTiles(tuple(stages), cuts, tuple(rings))


def _reads(number: int, step: StageStep) -> Iterator[_Read]:
    """The operands of a step that are walked row by row."""
    views = [(step.view, step.stage.window)]
    views += [(o.view, Window()) for o in step.operands if o is not None and o.access != "channel"]
    for view, window in views:
        yield _Read(number, view, view.reach(window, 0), step.row_step)


def _cuts(stages: Sequence[StageStep], reads: Sequence[_Read], height: int) -> tuple[Cuts, ...]:
    rows = [step.stage.shape[2] for step in stages]
    tiles = -(-rows[-1] // height)
    cuts: list[Cuts] = [()] * len(stages)
    for number in reversed(range(len(stages))):
        readers = [read for read in reads if stages[number].output in read.view.tensors]

        total, inner = rows[number], range(1, tiles)
        if readers:
            ends = [
                max([0, *(r.last(cuts[r.stage][tile]) for r in readers if cuts[r.stage][tile])])
                for tile in inner
            ]
        elif number == len(stages) - 1:
            ends = [tile * height for tile in inner]
        else:
            ends = [-(-total * tile // tiles) for tile in inner]
        rounded = (_rounded_up(end, stages[number].row_step) for end in ends)
        cuts[number] = (0, *(min(total, end) for end in rounded), total)
    return tuple(cuts)


def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _rolling(
    stages: Sequence[StageStep], reads: Sequence[_Read], read_elsewhere: Collection[Blocked]
) -> list[list[Blocked]]:
    """Results of which rows can be kept instead of all, those together that are read side by side."""
    by_channel = {
        tensor
        for step in stages
        for operand in step.operands
        if operand is not None and operand.access == "channel"
        for tensor in operand.view.tensors
    }
    read = {tensor for r in reads for tensor in r.view.tensors}
    rolling = {
        step.output
        for step in stages
        if step.output in read
        and step.output not in by_channel
        and step.output not in read_elsewhere
        and step.output.extent.border == "zero"
        and step.output.extent.clips == 1
    }
    while mixed := [
        tensor
        for r in reads
        if not rolling.issuperset(r.view.tensors) or r.view.offset[:, 0].any()
        for tensor in r.view.tensors
        if tensor in rolling
    ]:
        rolling.difference_update(mixed)
    together = {tensor: [tensor] for tensor in rolling}
    for r in reads:
        if r.view.tensors[0] in rolling:
            members = list({id(t): t for tensor in r.view.tensors for t in together[tensor]}.values())
            together.update(dict.fromkeys(members, members))
    return list({id(members): members for members in together.values()}.values())


def _ring(
    stages: Sequence[StageStep], reads: Sequence[_Read], cuts: Sequence[Cuts], tensors: Sequence[Blocked]
) -> Ring:
    writers = [cuts[number] for number, step in enumerate(stages) if step.output in tensors]
    readers = [read for read in reads if read.view.tensors[0] in tensors]
    tiles = range(len(cuts[0]) - 1)
    firsts: list[int] = []
    lasts: list[int] = []
    kept = 0
    for tile in tiles:
        to_read = [
            read.reach.first(cuts[read.stage][tile])
            for read in readers
            if cuts[read.stage][tile] < cuts[read.stage][-1]
        ]
        computed = [cut[tile] for cut in writers]
        first = min([*to_read, *computed])
        # what is carried must not overlap where it is carried to
        if firsts and first - firsts[-1] < max(computed) - first:
            first = firsts[-1]
        firsts.append(first)
        now = [
            read.last(cuts[read.stage][tile + 1])
            for read in readers
            if cuts[read.stage][tile] < cuts[read.stage][tile + 1]
        ]
        lasts.append(max(now, default=first))
        kept = max(kept, lasts[-1] - first, *(cut[tile + 1] - first for cut in writers))
    return Ring(tuple(tensors), kept, tuple(firsts), tuple(lasts))
