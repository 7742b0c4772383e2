"""Chains cut into tiles of rows: what each stage computes in a tile, and which rows are kept meanwhile.

Whoever is read by others has computed, at the end of a tile, all that these read in it (`row_cuts`). So no
row is computed twice, and the first tile, which fills the pipeline, computes the rows of the halo too.

Of a tensor that only the chain reads, the rows from the first that is still to be read to the last that is
computed are kept: a `Ring`. Before a tile, the rows that go on being read move to the start of its memory:
not sooner than they fit in front of where they lie.

Source: depth-first (fused-layer) execution, Alwani et al., "Fused-Layer CNN Accelerators", MICRO 2016.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import attrs

from .lowering.steps import StageStep
from .placement import Blocked
from .row_cuts import WHOLE, Cuts, Read, cuts_of, reads_of


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
    """A chain cut into tiles of rows: of every stage its cuts, and what is kept in rings.

    images: those that are computed, one after the other.
    """

    stages: tuple[StageStep, ...]
    cuts: tuple[Cuts, ...]
    rings: tuple[Ring, ...]
    images: range

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


def row_tiles(stages: Sequence[StageStep], read_elsewhere: Collection[Blocked], height: int) -> RowTiles:
    """The stages, the last one's result cut into tiles of `height` rows.

    read_elsewhere: tensors that other steps read, which exist as a whole.
    """
    reads = reads_of(stages)
    cuts = cuts_of(stages, reads, height, WHOLE)
    rings = [ring_of(stages, reads, cuts, tensors) for tensors in ring_groups(stages, reads, read_elsewhere)]
    smaller = [ring for ring in rings if ring.kept < rows_of_plane(ring.tensors[0])]
    return RowTiles(tuple(stages), cuts, tuple(smaller), range(stages[0].stage.shape[0]))


def rows_of_plane(tensor: Blocked) -> int:
    """Of one image, those of the halo included."""
    return tensor.geometry.batch_stride // tensor.geometry.row_stride


def ring_groups(
    stages: Sequence[StageStep], reads: Sequence[Read], read_elsewhere: Collection[Blocked]
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
    # Places are given in this order: that of the stages, not a set's, which no two compilations share.
    together = {step.output: [step.output] for step in stages if step.output in rolling}
    for r in reads:
        if r.view.tensors[0] in rolling:
            members = list({id(t): t for tensor in r.view.tensors for t in together[tensor]}.values())
            together.update(dict.fromkeys(members, members))
    return list({id(members): members for members in together.values()}.values())


def ring_of(
    stages: Sequence[StageStep], reads: Sequence[Read], cuts: Sequence[Cuts], tensors: Sequence[Blocked]
) -> Ring:
    """The ring of tensors that are read side by side."""
    writers = [cuts[number] for number, step in enumerate(stages) if step.output in tensors]
    readers = [read for read in reads if read.view.tensors[0] in tensors]
    tiles = range(len(cuts[0]) - 1)
    firsts: list[int] = []
    lasts: list[int] = []
    kept = 1
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
