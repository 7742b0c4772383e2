"""What a convolution's arithmetic costs in some rows of its result, modelled: as a whole, or in strips.

cycles = direct, or paired where that is allowed and modelled to pay for the whole result

A transposed convolution is as many as there are classes of pixels, each taken to be direct.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs

import schedules
from schedules.machine import MachineParameters
from schedules.workload import IndexedConv, PairedConv

from .array import Array
from .forms import ANY_FORM, Forms
from .lowering.borders import classes_of_pixels
from .lowering.convolution import WORTH_PAIRING
from .lowering.convolution_part import in_runs, of_pixels
from .lowering.pairing import in_fewest_lines
from .lowering.steps import StageStep


def convolution_cycles(
    step: StageStep, rows: int, machine: MachineParameters, threads: int, forms: Forms = ANY_FORM
) -> float:
    """Of so many rows, of one image or of several, until the last of the threads is through."""

    def cycles(workload: IndexedConv | PairedConv) -> float:
        return schedules.modelled_cycles(workload, machine, threads)

    columns, starts = step.stage.shape[3], step.view.pixels(step.stage.window, *step.stage.shape[2:])
    if step.stage.window.spaced:
        return sum(map(cycles, _by_class(step, rows)))
    direct = _direct(step, len(starts))
    ways = _paired(step, direct, starts) if forms.pairing else ()
    taken = (way for way in ways if schedules.is_taken(way, machine))
    paired = min(taken, key=cycles, default=None)
    chosen: IndexedConv | PairedConv = direct
    if paired is not None and cycles(paired) < WORTH_PAIRING * cycles(direct):
        chosen = paired
    return cycles(of_pixels(chosen, starts[: rows * columns]))


def _by_class(step: StageStep, rows: int) -> Iterator[IndexedConv]:
    """The workloads of a transposed convolution's first rows, of all images as of one."""
    window, columns = step.stage.window, step.stage.shape[3]
    for pixels in classes_of_pixels(window, (1, rows, columns)):
        whole = _direct(step, len(pixels.numbers))
        share = pixels.taps.size / math.prod(window.kernel)
        yield attrs.evolve(whole, virtual_channels=max(1, round(whole.virtual_channels * share)))


def _direct(step: StageStep, pixels: int) -> IndexedConv:
    assert step.stage.weight is not None
    output = step.output
    return IndexedConv(step.stage.weight[0].size, output.blocks, output.extent.lanes, pixels)


def _paired(step: StageStep, direct: IndexedConv, starts: Array) -> tuple[PairedConv, ...]:
    """With lines of every width, as few as could hold all pairs; none if there are no pairs."""
    if step.stage.groups > 1:
        return ()
    workload = PairedConv(direct.virtual_channels, 1, direct.blocks, direct.lanes, direct.pixels)
    return in_fewest_lines(in_runs(workload, starts), step, step.view.tap_offsets(step.stage.window))
