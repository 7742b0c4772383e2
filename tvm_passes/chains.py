"""Which stages run as chains, tile by tile: of all programs that are as fast as the fastest, the smallest.

    stage; stage; stage   →   for tile: rows of stage; rows of stage; rows of stage     (`row_tiles`, `roll`)

Threads share each strip, or each has a band of the chain for itself (`bands`). A program is a sequence
of segments, each a step as it is or a chain of consecutive stages in so many tiles. What a segment costs, in
cycles and in bytes, depends on it alone (`chain_cost`); so the fastest program whose segments all fit into
some memory is found by dynamic programming over where segments end.

Preconditions of a chain: stages whose results are computed row by row, halos of zeros. Others say why not.
Place: when all steps are planned, before tensors are placed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, takewhile

import attrs

from schedules.machine import MachineParameters

from .chain_cost import Cost, Costs
from .forms import ANY_FORM, Forms
from .lowering.steps import StageStep, Step
from .roll import roll
from .row_tiles import RowTiles
from .tiling import Tiling

_KINDS = ("convolution", "depthwise", "window_pool", "elementwise")
_AS_FAST = 1.01
"""Modelled cycles, over the fewest possible, of a program of one thread that counts as equally fast. Who asks
for several asks for speed."""
_LONGEST = 8
"""Stages of a chain, unless told otherwise: longer ones hold more weights than a second cache."""
_TILES = (2, 4, 8, 16, 32)
"""Numbers of tiles that are tried."""


class NothingFitsError(Exception):
    """No program keeps within `Tiling.max_memory`.

    smallest: bytes of the smallest one.
    """

    def __init__(self, smallest: int) -> None:
        super().__init__(f"the smallest program takes {smallest} bytes")
        self.smallest = smallest


@attrs.frozen(eq=False)
class _Segment:
    """Steps from `first` up to `last`, which is not among them; how they are tiled if they are."""

    first: int
    last: int
    cost: Cost
    bands: tuple[RowTiles, ...] = ()


@attrs.frozen(eq=False)
class Chained:
    """A program's steps, some of them joined to chains; `gain`: how many times as fast that is modelled."""

    steps: list[Step]
    gain: float = 1.0


def form_chains(
    steps: Sequence[Step],
    machine: MachineParameters,
    threads: int,
    tiling: Tiling,
    forms: Forms = ANY_FORM,
) -> Chained:
    """Join steps to chains. Raises NothingFitsError."""
    if tiling.is_off and tiling.max_memory is None:
        return Chained(list(steps))
    segments = list(_segments(steps, Costs(steps, machine, threads, forms), tiling))
    as_fast = _AS_FAST if threads == 1 else 1.0
    chosen = _longest(segments) if tiling.forced else _smallest(segments, len(steps), tiling, as_fast)
    result: list[Step] = []
    for segment in chosen:
        if segment.bands:
            result.append(roll(segment.bands))
        else:
            result += steps[segment.first : segment.last]
    apart = sum(segment.cost.cycles for segment in segments if not segment.bands)
    modelled = sum(segment.cost.cycles for segment in chosen)
    return Chained(result, apart / modelled if modelled else 1.0)


def why_not_chained(step: Step) -> str | None:
    """None if a step can be part of a chain, else why not."""
    if not isinstance(step, StageStep):
        return "it is no stage"
    if step.stage.kind not in _KINDS:
        return f"{step.stage.kind} needs all rows at once"
    if step.output.extent.border != "zero":
        return f"its halo is a {step.output.extent.border}, which is filled when all rows are there"
    if step.output.extent.clips > 1:
        return "it computes clips of several images"
    if step.stage.shape[2] == 1:
        return "it has one row"
    views = (step.view, *(operand.view for operand in step.operands if operand is not None))
    if any(view.offset[:, 0].any() for view in views):
        return "it reads other images than those it computes, which are computed later"
    return None


def _joins(first: Step, step: Step) -> bool:
    """Whether a step can be in a chain that begins with `first`: image after image, so with as many."""
    return (
        isinstance(first, StageStep)
        and isinstance(step, StageStep)
        and why_not_chained(step) is None
        and step.batch == first.batch
    )


def _segments(steps: Sequence[Step], costs: Costs, tiling: Tiling) -> Iterator[_Segment]:
    """All segments, in the order of where they begin."""
    longest = 1 if tiling.is_off else tiling.stages or _LONGEST
    for first in range(len(steps)):
        yield _Segment(first, first + 1, costs.alone(first))
        run = takewhile(partial(_joins, steps[first]), steps[first : first + longest])
        for length, step in enumerate(run, 1):
            if length == 1:
                continue
            last = first + length
            for height in _heights(step, tiling):
                for bands in _ways(costs, first, last, height, tiling):
                    yield _Segment(first, last, costs.of_chain(first, last, bands), bands)


def _ways(costs: Costs, first: int, last: int, height: int, tiling: Tiling) -> Iterator[tuple[RowTiles, ...]]:
    """Steps as a chain of tiles of so many rows: shared by all tasks strip by strip, or in bands."""
    if costs.threads == 1 or not tiling.bands:
        yield (costs.tiled(first, last, height),)
    if costs.threads > 1 and tiling.bands is not False:
        bands = costs.banded(first, last, height)
        if not isinstance(bands, str):
            yield bands


def _heights(step: Step, tiling: Tiling) -> list[int]:
    """Rows of a tile of a chain that ends with the step."""
    assert isinstance(step, StageStep)
    rows = step.stage.shape[2]
    return sorted({-(-rows // tiles) for tiles in ((tiling.tiles,) if tiling.tiles else _TILES)})


def _longest(segments: Sequence[_Segment]) -> list[_Segment]:
    """The program of the longest chains, whatever it costs: of as many tiles as are tried first."""
    chosen: list[_Segment] = []
    for first, beginning in groupby(segments, key=lambda segment: segment.first):
        if first == (chosen[-1].last if chosen else 0):
            chosen.append(max(beginning, key=lambda segment: segment.last))
    return chosen


def _smallest(segments: Sequence[_Segment], end: int, tiling: Tiling, as_fast: float) -> list[_Segment]:
    """The program of least memory among those that fit and take up to `as_fast` times the fewest cycles."""
    limits = sorted({segment.cost.bytes for segment in segments})
    programs = {limit: p for limit in limits if (p := _fastest(segments, end, limit)) is not None}
    fitting = {
        limit: program
        for limit, program in programs.items()
        if tiling.max_memory is None or limit <= tiling.max_memory
    }
    if not fitting:
        raise NothingFitsError(min(programs))
    if tiling.stages is not None:
        return fitting[min(fitting)][1]
    fewest = min(cycles for cycles, _ in fitting.values())
    return next(program for cycles, program in fitting.values() if cycles <= fewest * as_fast)


def _fastest(segments: Sequence[_Segment], end: int, limit: int) -> tuple[float, list[_Segment]] | None:
    """The program of fewest cycles none of whose segments takes more bytes, and its cycles."""
    best: list[tuple[float, list[_Segment]] | None] = [(0.0, []), *[None] * end]
    for segment in segments:  # in the order of where they begin
        before, known = best[segment.first], best[segment.last]
        if before is None or segment.cost.bytes > limit:
            continue
        cycles = before[0] + segment.cost.cycles
        if known is None or cycles < known[0]:
            best[segment.last] = cycles, [*before[1], segment]
    return best[end]
