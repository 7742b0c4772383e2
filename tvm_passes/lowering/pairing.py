"""In which vectors of x the channels lie that a convolution multiplies in pairs.

What the pairs add up to is summed a line of x at a time (`schedules/paired_products.py`). A shift scatters
channels over many lines: those of half or a quarter of a vector cost less then, for fewer lanes are idle.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from schedules.paired_products import GROUP, PAIRS, Pairing, pair_channels, whole_lines
from schedules.workload import PairedConv

from ..array import Array
from .steps import StageStep

Cycles = Callable[[PairedConv], float]

_NARROWEST = 4


def in_fewest_lines(workload: PairedConv, step: StageStep, offsets: Array) -> tuple[PairedConv, ...]:
    """The workload with lines of every width, and as few of them as could hold all pairs; none without lines.

    offsets: of the taps that are read; others may lie outside of the input.
    """
    pairs = PAIRS * (workload.virtual_channels // GROUP)
    widest, ways = _widest_line(step, workload.lanes, offsets), []
    while widest >= _NARROWEST:
        ways.append(attrs.evolve(workload, lines=-(-pairs // widest), line_lanes=widest))
        widest //= 2
    return tuple(ways)


def cheapest_pairing(offsets: Array, ways: tuple[PairedConv, ...], cycles: Cycles) -> Pairing | None:
    """The pairing of channels at these offsets that takes the fewest cycles; None if there is none.

    ways: `in_fewest_lines`, which bounds what a width can take, so that few are tried.
    """
    best, least = None, math.inf
    for bound, way in sorted(((cycles(way), way) for way in ways), key=lambda found: found[0]):
        if bound >= least:
            break
        pairing = pair_channels(offsets, way.line_lanes)
        if pairing is None:
            continue
        taken = cycles(attrs.evolve(way, lines=len(pairing.lines)))
        if taken < least:
            best, least = pairing, taken
    return best


def _widest_line(step: StageStep, lanes: int, offsets: Array) -> int:
    """Elements of a line of x, for vectors of `lanes`; 0 where lines would hold what must not be read."""
    view = step.view
    if view.extent.lanes > 1:
        return view.extent.lanes
    if not view.tensors[0].is_callers:
        return 0
    addresses = np.add.outer(view.bases(), offsets)
    return whole_lines(addresses, lanes) or 0
