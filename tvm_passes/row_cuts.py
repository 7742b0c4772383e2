"""Which rows of every stage of a chain are computed before which tile, for all of the result or a part of it.

The last stage computes rows [a, b), `height` of them a tile. Whoever is read by others has computed, at the
end of a tile, all that these read in it, and begins with what they read first:

    cut_i(0) = max(0, min_j first_j(cut_j(0)))
    cut_i(t) = min(H_i, max_j last_j(cut_j(t)))        j reads i, `reach`

The part that begins with row 0 does so in every stage, the one that ends with the last row as well. Of two
parts that meet, both compute the rows around the seam that both read: the halo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from schedules.parallelism import share

from .anchor import Window
from .channel_view import ChannelView
from .lowering.steps import StageStep
from .reach import Reach
from .window_taps import WindowTaps

Cuts = tuple[int, ...]
"""Rows of a stage that come before each tile, and behind the last: T + 1 numbers."""


@attrs.frozen
class Part:
    """Part `number` of `count` equal ones of a result's rows."""

    number: int
    count: int

    def rows(self, step: StageStep) -> range:
        """Of the step's result; rows that are computed together stay together."""
        total, together = step.stage.shape[2], step.row_step
        mine = share(self.number, -(-total // together), self.count, 0)
        return range(min(total, mine.start * together), min(total, mine.stop * together))


WHOLE = Part(0, 1)


@attrs.frozen(eq=False)
class Read:
    """An operand of a stage of the chain, of which `step` rows are computed together."""

    stage: int
    view: ChannelView
    reach: Reach | WindowTaps
    step: int

    def first(self, row: int) -> int:
        """The first row that results from this one on read; it may lie above the plane."""
        return self.reach.first(row)

    def last(self, rows: int) -> int:
        """The row behind the last that the results before row `rows` read; it may lie below the plane."""
        return self.reach.last(_rounded_up(rows, self.step))


def reads_of(stages: Sequence[StageStep]) -> list[Read]:
    """The operands of all stages that are walked row by row."""
    return [read for number, step in enumerate(stages) for read in _reads(number, step)]


def _reads(number: int, step: StageStep) -> Iterator[Read]:
    stage, view = step.stage, step.view
    reach = view.reach(stage.window, 0) if stage.taps is None else stage.taps[0]
    yield Read(number, view, reach, step.row_step)
    for operand in step.operands:
        if operand is not None and operand.access != "channel":
            yield Read(number, operand.view, operand.view.reach(Window(), 0), step.row_step)


def cuts_of(stages: Sequence[StageStep], reads: Sequence[Read], height: int, part: Part) -> tuple[Cuts, ...]:
    """Of every stage, for a part of the last one's rows in tiles of `height` rows.

    What no stage reads is computed in as many tiles, the same part of it.
    """
    own = part.rows(stages[-1])
    tiles = -(-len(own) // height)
    cuts: list[Cuts] = [()] * len(stages)
    for number in reversed(range(len(stages))):
        step = stages[number]
        readers = [
            (read, cuts[read.stage])
            for read in reads
            if step.output in read.view.tensors and cuts[read.stage][0] < cuts[read.stage][-1]
        ]
        if readers:
            rows = _read_by(readers, tiles)
        elif number == len(stages) - 1:
            rows = [own.start, *(min(own.stop, own.start + tile * height) for tile in range(1, tiles + 1))]
        else:
            mine = part.rows(step)
            rows = [mine.start - (-len(mine) * tile // tiles) for tile in range(tiles + 1)]
        cuts[number] = _whole(rows, step, part)
    return tuple(cuts)


def _read_by(readers: Sequence[tuple[Read, Cuts]], tiles: int) -> list[int]:
    """The first row that is read, and by tile that behind the last that has been; outside the plane too."""
    start = min(read.first(cuts[0]) for read, cuts in readers)
    ends = [
        max((read.last(cuts[tile]) for read, cuts in readers if cuts[0] < cuts[tile]), default=0)
        for tile in range(1, tiles + 1)
    ]
    return [start, *ends]


def _whole(rows: Sequence[int], step: StageStep, part: Part) -> Cuts:
    """The cuts, inside the plane, between rows that are not computed together; the ends are the plane's."""
    total, together = step.stage.shape[2], step.row_step
    start = 0 if part.number == 0 else min(total, max(0, rows[0])) // together * together
    ends = [min(total, max(start, _rounded_up(row, together))) for row in rows[1:]]
    if part.number == part.count - 1:
        ends[-1] = total
    return start, *ends


def _rounded_up(number: int, step: int) -> int:
    return -(-number // step) * step
