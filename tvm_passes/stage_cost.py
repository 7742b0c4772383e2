"""What a stage's arithmetic costs in some rows of its result: modelled cycles until the last task is through.

Convolutions as the templates' defaults expect of the workload of that many pixels. What has no such model
takes as long for every pixel.
"""

from __future__ import annotations

import math

import attrs

import schedules
from schedules.machine import MachineParameters
from schedules.workload import IndexedConv

from .convolution_cost import convolution_cycles
from .forms import ANY_FORM, Forms
from .lowering.grouped_winograd import GroupedWinogradPlan
from .lowering.steps import StageStep
from .lowering.winograd_plan import PRODUCT_CALL_CYCLES, WinogradPlan, transform_cycles

_ELEMENT_CYCLES = 4.0
"""Loads and stores of a vector that is computed with few taps or none, and its epilogue."""


def work_cycles(
    step: StageStep, rows: int, machine: MachineParameters, threads: int, forms: Forms = ANY_FORM
) -> float:
    """Of so many rows, of one image or of several."""
    stage, output = step.stage, step.output
    pixels = rows * stage.shape[3]
    if step.winograd is not None:
        return _winograd_cycles(step, step.winograd, _tiles(step, rows), machine, threads)
    if stage.kind == "convolution":
        return convolution_cycles(step, rows, machine, threads, forms)
    vectors = pixels * output.blocks * output.extent.lanes / machine.lanes
    taps = math.prod(stage.window.kernel) / math.prod(stage.window.spacing)
    if stage.taps is not None:
        taps = sum(along.count for along in stage.taps)
    return vectors * (taps + _ELEMENT_CYCLES) / machine.fma_ports / threads


def phases(step: StageStep, rows: int) -> int:
    """After how many of its calls tasks that share them wait for each other."""
    plan = step.winograd
    if not isinstance(plan, WinogradPlan):
        return 1
    tiles = _tiles(step, rows)
    return 1 if plan.parts_of(tiles) > 1 else 3 * -(-tiles // plan.in_common.chunk)


def _tiles(step: StageStep, rows: int) -> int:
    """Winograd's tiles that cover so many rows."""
    assert step.winograd is not None
    outputs = step.winograd.form.outputs
    return -(-rows // outputs) * -(-step.stage.shape[3] // outputs)


def _winograd_cycles(
    step: StageStep,
    plan: WinogradPlan | GroupedWinogradPlan,
    tiles: int,
    machine: MachineParameters,
    threads: int,
) -> float:
    """Of so many tiles; tasks have a part of them each, or products are dealt out to them."""
    if isinstance(plan, GroupedWinogradPlan):
        return schedules.modelled_cycles(attrs.evolve(plan.workload, tiles=tiles), machine, threads)
    output, points = step.output, plan.form.size**2
    parts = min(threads, plan.parts_of(tiles))
    tiles = -(-tiles // parts)
    chunks = -(-tiles // (plan.in_common if parts < threads else plan).chunk)
    workload = IndexedConv(step.view.channels, output.blocks, output.extent.lanes, -(-tiles // chunks))
    product = schedules.modelled_cycles(workload, machine) + PRODUCT_CALL_CYCLES
    blocks = len(plan.blocks.blocks) + output.blocks
    transforms = tiles * blocks * transform_cycles(plan.form, machine)
    return (chunks * points * product + transforms) * parts / threads
