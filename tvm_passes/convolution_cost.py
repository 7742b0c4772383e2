"""What a convolution's arithmetic costs in some rows of its result, modelled: as a whole, or in strips.

cycles = direct, or paired where that is allowed and modelled to pay for the whole result
"""

from __future__ import annotations

import numpy as np

import schedules
from schedules.machine import MachineParameters
from schedules.paired_products import GROUP, PAIRS
from schedules.workload import IndexedConv, PairedConv

from .array import Array
from .forms import ANY_FORM, Forms
from .lowering.convolution import WORTH_PAIRING, line_lanes, of_pixels
from .lowering.steps import StageStep


def convolution_cycles(
    step: StageStep, rows: int, machine: MachineParameters, threads: int, forms: Forms = ANY_FORM
) -> float:
    """Of so many rows, of one image or of several, until the last of the threads is through."""

    def cycles(workload: IndexedConv | PairedConv, starts: Array) -> float:
        return schedules.modelled_cycles(of_pixels(workload, starts), machine, threads)

    columns, starts = step.stage.shape[3], step.view.pixels(step.stage.window, *step.stage.shape[2:])
    direct = _direct(step, len(starts))
    paired = _paired(step, direct) if forms.pairing else None
    worth = WORTH_PAIRING * cycles(direct, starts)
    if paired is not None and schedules.is_taken(paired, machine) and cycles(paired, starts) < worth:
        return cycles(paired, starts[: rows * columns])
    return cycles(direct, starts[: rows * columns])


def _direct(step: StageStep, pixels: int) -> IndexedConv:
    assert step.stage.weight is not None
    output = step.output
    return IndexedConv(step.stage.weight[0].size, output.blocks, output.extent.lanes, pixels)


def _paired(step: StageStep, direct: IndexedConv) -> PairedConv | None:
    """With as few vectors of x in which all pairs can lie; None if there are no pairs."""
    if step.stage.groups > 1:
        return None
    lanes = line_lanes(step, direct.lanes, np.arange(np.prod(step.stage.window.kernel)))
    if lanes is None:
        return None
    lines = -(-PAIRS * (direct.virtual_channels // GROUP) // lanes)
    return PairedConv(
        direct.virtual_channels, lines, direct.blocks, direct.lanes, direct.pixels, line_lanes=lanes
    )
