"""What a convolution's arithmetic costs in some rows of its result, modelled: as a whole, or in strips.

    cycles = direct, or paired where that is modelled to pay for the whole result

Whether products may be paired at all is not asked.
"""

from __future__ import annotations

import schedules
from schedules.machine import MachineParameters
from schedules.paired_products import GROUP, PAIRS
from schedules.workload import IndexedConv, PairedConv

from .lowering.convolution import WORTH_PAIRING
from .lowering.steps import StageStep


def convolution_cycles(step: StageStep, rows: int, machine: MachineParameters, threads: int) -> float:
    """Of so many rows, of one image or of several, until the last of the threads is through."""
    columns, whole = step.stage.shape[3], step.stage.shape[0] * step.stage.shape[2]
    if _pays(step, whole * columns, machine, threads):
        return schedules.modelled_cycles(_paired(step, rows * columns), machine, threads)
    return schedules.modelled_cycles(_direct(step, rows * columns), machine, threads)


def _pays(step: StageStep, pixels: int, machine: MachineParameters, threads: int) -> bool:
    """Whether products are paired where that is allowed."""
    if step.stage.groups > 1 or step.view.extent.lanes == 1:
        return False
    paired = _paired(step, pixels)
    if not schedules.is_taken(paired, machine):
        return False
    direct = schedules.modelled_cycles(_direct(step, pixels), machine, threads)
    return schedules.modelled_cycles(paired, machine, threads) < WORTH_PAIRING * direct


def _direct(step: StageStep, pixels: int) -> IndexedConv:
    assert step.stage.weight is not None
    output = step.output
    return IndexedConv(step.stage.weight[0].size, output.blocks, output.extent.lanes, pixels)


def _paired(step: StageStep, pixels: int) -> PairedConv:
    """With as few vectors of x in which all pairs can lie."""
    direct = _direct(step, pixels)
    pairs = PAIRS * (direct.virtual_channels // GROUP)
    lines = -(-pairs // direct.lanes)
    return PairedConv(direct.virtual_channels, lines, direct.blocks, direct.lanes, pixels)
