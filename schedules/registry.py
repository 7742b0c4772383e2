"""From workload to kernel: the first template that applies."""

from __future__ import annotations

import attrs
import numpy as np
import tvm
from numpy.typing import NDArray

from schedules.machine import MachineParameters, machine_of
from schedules.paired_products import pack_paired, unpack_paired
from schedules.template import Decisions, Kernel, ScheduleError, Template
from schedules.workload import Depthwise, GroupedWinograd, IndexedConv, PairedConv, Workload
from schedules.x86 import (
    depthwise_plane,
    grouped_winograd,
    indexed_conv,
    paired_column,
    register_tile,
    winograd_strip,
)
from schedules.x86.depthwise import DepthwiseTemplate
from schedules.x86.depthwise_loop import DepthwiseLoopTemplate
from schedules.x86.elementwise import ElementwiseTemplate
from schedules.x86.global_pool import GlobalPoolTemplate
from schedules.x86.group_norm import GroupNormTemplate
from schedules.x86.grouped_winograd import GroupedWinogradTemplate
from schedules.x86.indexed_conv import IndexedConvTemplate
from schedules.x86.layer_norm import LAYER_NORM
from schedules.x86.paired_conv import PairedConvTemplate
from schedules.x86.softmax import SOFTMAX
from schedules.x86.unpack import UnpackTemplate
from schedules.x86.window_pool import WindowPoolTemplate
from schedules.x86.window_sum import WindowSumTemplate
from schedules.x86.winograd import WinogradInputTemplate, WinogradOutputTemplate

TEMPLATES: tuple[Template, ...] = (
    IndexedConvTemplate(),
    PairedConvTemplate(),
    DepthwiseTemplate(),
    DepthwiseLoopTemplate(),
    WindowPoolTemplate(),
    WindowSumTemplate(),
    GlobalPoolTemplate(),
    UnpackTemplate(),
    ElementwiseTemplate(),
    LAYER_NORM,
    GroupNormTemplate(),
    SOFTMAX,
    WinogradInputTemplate(),
    WinogradOutputTemplate(),
    GroupedWinogradTemplate(),
)
"""In order of preference; the first that applies is used."""


def template_of(workload: Workload, target: tvm.target.Target) -> Template:
    """The template for `workload` on `target`.

    Raises ScheduleError, with every template's reason, if none applies.
    """
    machine = machine_of(target)
    reasons = []
    for template in TEMPLATES:
        reason = template.applies(workload, machine)
        if reason is None:
            return template
        reasons.append(f"{template.kind}: {reason}")
    raise ScheduleError(f"no template for {workload}: " + "; ".join(reasons))


def refusal(workload: Workload, target: tvm.target.Target) -> str | None:
    """None if a template takes the workload on `target`, else why none does."""
    try:
        template_of(workload, target)
    except ScheduleError as error:
        return str(error)
    return None


def is_taken(workload: Workload, machine: MachineParameters) -> bool:
    """Whether a template takes the workload on `machine`."""
    return any(template.applies(workload, machine) is None for template in TEMPLATES)


def build(
    workload: Workload, target: tvm.target.Target, threads: int = 1, decisions: Decisions | None = None
) -> Kernel:
    """The kernel that computes `workload` on `target`.

    decisions: from a tuning record; None for the template's analytic defaults.
    Raises ScheduleError if no template applies or the decisions do not fit.
    """
    template = template_of(workload, target)
    machine = machine_of(target)
    defaults = template.defaults(workload, machine, threads)
    if decisions is None:
        decisions = defaults
    elif set(decisions) != set(defaults) or min(decisions.values()) < 1:
        raise ScheduleError(
            f"{template.kind} takes a number of at least 1 for each of {', '.join(sorted(defaults))}; "
            f"got {dict(decisions)}"
        )
    return attrs.evolve(template.schedule(workload, dict(decisions), machine), threads=threads)


def modelled_cycles(
    workload: IndexedConv | PairedConv | GroupedWinograd, machine: MachineParameters, threads: int = 1
) -> float:
    """What the analytic defaults expect the workload to take on `machine`, in cycles of one core."""
    if isinstance(workload, PairedConv):
        return paired_column.modelled_cycles(workload, machine, threads)
    if isinstance(workload, GroupedWinograd):
        return winograd_strip.modelled_cycles(workload, machine, threads)
    return register_tile.modelled_cycles(workload, machine, threads)


def weights_shape(workload: Workload) -> tuple[int, int] | None:
    """Shape of the weights that `pack_weights` takes for the workload; None if it has none."""
    if isinstance(workload, IndexedConv | PairedConv):
        return workload.blocks * workload.lanes, workload.virtual_channels
    if isinstance(workload, Depthwise):
        return workload.blocks * workload.lanes, len(workload.taps)
    if isinstance(workload, GroupedWinograd):
        return workload.points * workload.blocks * workload.lanes, workload.virtual_channels
    return None


def pack_weights(kernel: Kernel, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """`weights` in the order `kernel` reads its `k`, flat.

    IndexedConv: weights [blocks * lanes, virtual channels] (of the block's own table, if grouped).
    PairedConv: the same, virtual channels in the order of the pairing.
    Depthwise: weights [blocks * lanes, taps].
    GroupedWinograd: transformed filters [points * blocks * lanes, virtual channels].
    Raises ScheduleError for a shape that is not the workload's.
    """
    if isinstance(kernel.workload, IndexedConv):
        return indexed_conv.pack_weights(kernel.workload, kernel.decisions, weights)
    if isinstance(kernel.workload, PairedConv):
        return pack_paired(weights, kernel.workload.lanes)
    if isinstance(kernel.workload, Depthwise):
        return depthwise_plane.pack_weights(kernel.workload, weights)
    if isinstance(kernel.workload, GroupedWinograd):
        return grouped_winograd.pack_weights(kernel.workload, weights)
    raise ScheduleError(f"kernel {kernel.name} has no weights")


def unpack_weights(kernel: Kernel, packed: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights that `pack_weights` packed for `kernel`. Raises ScheduleError for one without weights."""
    workload = kernel.workload
    if isinstance(workload, IndexedConv):
        return indexed_conv.unpack_weights(workload, kernel.decisions, packed)
    if isinstance(workload, PairedConv):
        return unpack_paired(packed, workload.virtual_channels, workload.lanes)
    if isinstance(workload, Depthwise):
        return depthwise_plane.unpack_weights(workload, packed)
    if isinstance(workload, GroupedWinograd):
        return grouped_winograd.unpack_weights(workload, packed)
    raise ScheduleError(f"kernel {kernel.name} has no weights")
