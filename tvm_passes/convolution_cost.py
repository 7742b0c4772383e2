"""What a convolution's arithmetic costs in some rows of its result, modelled: as a whole, or in strips.

    cycles = direct, or paired where that is modelled to pay for the whole result

Whether products may be paired at all is not asked.
"""

from __future__ import annotations

import attrs
import numpy as np

import schedules
from schedules.machine import MachineParameters
from schedules.paired_products import GROUP, PAIRS
from schedules.workload import IndexedConv, PairedConv

from .lowering.convolution import WORTH_PAIRING, line_lanes
from .lowering.steps import StageStep


def convolution_cycles(step: StageStep, rows: int, machine: MachineParameters, threads: int) -> float:
    """Of so many rows, of one image or of several, until the last of the threads is through."""
    columns, whole = step.stage.shape[3], step.stage.shape[0] * step.stage.shape[2]
    direct, paired = _direct(step, whole * columns), _paired(step, whole * columns)
    workload = paired if paired is not None and _pays(paired, direct, machine, threads) else direct
    return schedules.modelled_cycles(attrs.evolve(workload, pixels=rows * columns), machine, threads)


def _pays(paired: PairedConv, direct: IndexedConv, machine: MachineParameters, threads: int) -> bool:
    """Whether products are paired where that is allowed."""
    if not schedules.is_taken(paired, machine):
        return False
    cycles = schedules.modelled_cycles(direct, machine, threads)
    return schedules.modelled_cycles(paired, machine, threads) < WORTH_PAIRING * cycles


def _direct(step: StageStep, pixels: int) -> IndexedConv:
    assert step.stage.weight is not None
    output = step.output
    return IndexedConv(step.stage.weight[0].size, output.blocks, output.extent.lanes, pixels)


def _paired(step: StageStep, pixels: int) -> PairedConv | None:
    """With as few vectors of x in which all pairs can lie; None if there are no pairs."""
    direct = _direct(step, pixels)
    if step.stage.groups > 1:
        return None
    lanes = line_lanes(step, direct.lanes, np.arange(np.prod(step.stage.window.kernel)))
    if lanes is None:
        return None
    lines = -(-PAIRS * (direct.virtual_channels // GROUP) // lanes)
    return PairedConv(direct.virtual_channels, lines, direct.blocks, direct.lanes, pixels, line_lanes=lanes)
