"""Grouped 3 x 3 convolutions of stride 1 by Winograd's minimal filtering, where it is modelled to pay.

    conv3x3(x, W) → Aᵀ [(G W Gᵀ) ⊙ (Bᵀ x B)] A     (Lavin & Gray, CVPR 2016), group by group

One kernel computes the whole (`schedules/x86/grouped_winograd.py`): groups need few blocks of their operand,
so a few tiles at a time stay in the first cache from patches to outputs, and nothing lies in the arena
meanwhile. A run of output blocks makes a cluster, which transforms whatever blocks its groups read. The form,
the length of runs and the width of vectors, narrow ones having fewer products by zero, are those of the
fewest modelled cycles. Rounding errors are those of `lowering/winograd`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
import numpy as np

import schedules
from schedules.machine import MachineParameters
from schedules.template import divisors
from schedules.winograd import BY_OUTPUTS, Winograd
from schedules.workload import GroupedWinograd, IndexedConv

from ..anchor import Window
from ..array import Array
from ..channel_view import BlockView, ChannelView
from ..compiled import KernelRecord
from ..placement import Blocked, Plain
from ..stage import Stage
from .context import ARENA, KernelCall, LoweringContext
from .groups import VectorGroups, share_tables
from .operands import epilogue_arguments, epilogue_of, output_arguments
from .steps import StageStep
from .vectors import NARROWEST, Vectors, ways_to_cut
from .winograd import tile_tables
from .winograd_plan import WORTH, tiles_of

_FILTER_BYTES_PER_CYCLE = 6.0
"""What one core gets of filters from beyond the second cache."""
_ITEM = 4
_LONGEST_RUN = 8
"""Output blocks of a cluster; longer runs only repeat what shorter ones do."""


@attrs.frozen(eq=False)
class GroupedWinogradPlan:
    """Which form, in which clusters and vectors.

    clusters: int [clusters, reads]: the operand's blocks that each cluster transforms.
    groups:   what each of the kernel's vectors sums over.
    workload: but for its strides and epilogue, which are not known before tensors have their place.
    """

    form: Winograd
    blocks: BlockView
    clusters: Array
    groups: VectorGroups
    workload: GroupedWinograd

    @property
    def scratch(self) -> tuple[Plain, ...]:
        """Nothing lies in the arena meanwhile."""
        return ()

    def for_one_of(self, _tasks: int) -> GroupedWinogradPlan:
        """For one task that shares it with nobody: the same."""
        return self


def plan_grouped_winograd(
    stage: Stage, view: ChannelView, output: Blocked, machine: MachineParameters, threads: int
) -> GroupedWinogradPlan | str:
    """The plan for a stage, or why it is computed directly."""
    plain = Window((3, 3), (1, 1), stage.window.padding, (1, 1))
    if stage.kind != "convolution" or stage.groups == 1 or stage.window != plain:
        return "not a grouped 3 x 3 convolution of stride 1"
    blocks = view.block_view()
    if blocks is None or view.extent.lanes != output.extent.lanes:
        return "its operand does not lie in whole blocks"

    def cycles(plan: GroupedWinogradPlan) -> float:
        return schedules.modelled_cycles(plan.workload, machine, threads) + _fetching(stage, plan.form)

    best = min(_plans(stage, blocks, output), key=cycles)
    if cycles(best) > WORTH * _direct_cycles(stage, output, machine, threads):
        return "the direct form is modelled to be as fast"
    return best


def _fetching(stage: Stage, form: Winograd) -> float:
    """Cycles to read what transformed filters are longer."""
    assert stage.weight is not None
    outputs, inputs, *taps = stage.weight.shape
    longer: int = (form.size**2 - math.prod(taps)) * outputs * inputs * _ITEM
    return longer / _FILTER_BYTES_PER_CYCLE


def _plans(stage: Stage, blocks: BlockView, output: Blocked) -> Iterator[GroupedWinogradPlan]:
    """All forms, widths of vectors and lengths of clusters."""
    lanes, width = output.extent.lanes, output.extent.lanes
    reads = _blocks_read(stage, blocks, output)
    while width >= min(NARROWEST, lanes):
        groups = VectorGroups.of(stage.groups, output, _all_vectors(output, width))
        for writes in divisors(output.blocks, _LONGEST_RUN):
            clusters = _clusters(reads, writes)
            for form in BY_OUTPUTS.values():
                assert stage.weight is not None
                workload = GroupedWinograd(
                    outputs=form.outputs,
                    clusters=len(clusters),
                    reads=clusters.shape[1],
                    writes=writes,
                    lanes=lanes,
                    width=width,
                    virtual_channels=groups.widest * stage.weight.shape[1],
                    tiles=tiles_of(stage, form),
                    row_stride=0,
                    column_stride=0,
                )
                yield GroupedWinogradPlan(form, blocks, clusters, groups, workload)
        width //= 2


def _all_vectors(output: Blocked, width: int) -> Vectors:
    return Vectors(width, np.arange(output.blocks * output.extent.lanes // width) * width)


def _blocks_read(stage: Stage, blocks: BlockView, output: Blocked) -> list[set[int]]:
    """By output block, the operand's blocks that its groups read."""
    lanes = output.extent.lanes
    read_by_group = blocks.positions.reshape(stage.groups, -1) // lanes
    group = np.arange(output.channels) * stage.groups // output.channels
    return [
        {int(b) for b in read_by_group[group[output.positions // lanes == number]].ravel()}
        for number in range(output.blocks)
    ]


def _clusters(reads: list[set[int]], writes: int) -> Array:
    """The blocks that runs of `writes` output blocks read, int [clusters, reads]; some repeat one."""
    runs = [sorted(set().union(*reads[i : i + writes])) or [0] for i in range(0, len(reads), writes)]
    most = max(map(len, runs))
    return np.array([run + run[:1] * (most - len(run)) for run in runs])


def _direct_cycles(stage: Stage, output: Blocked, machine: MachineParameters, threads: int) -> float:
    """Modelled cycles of the direct form, cut as is best for it."""
    assert stage.weight is not None
    inputs = np.arange(stage.groups * stage.weight.shape[1]).reshape(stage.groups, -1)
    n, _, rows, columns = stage.shape

    def cycles(vectors: Vectors) -> float:
        tables = share_tables(VectorGroups.of(stage.groups, output, vectors).tables(inputs))
        channels = tables.shape[1] * stage.window.kernel[0] * stage.window.kernel[1]
        workload = IndexedConv(channels, vectors.count, vectors.lanes, n * rows * columns, len(tables))
        return schedules.modelled_cycles(workload, machine, threads)

    return min(sum(map(cycles, way)) for way in ways_to_cut(output))


def lower_grouped_winograd(
    context: LoweringContext, step: StageStep, plan: GroupedWinogradPlan, record: KernelRecord
) -> KernelCall:
    """The one invocation of a convolution."""
    stage, output, geometry, groups = step.stage, step.output, step.view.geometry, plan.groups
    origins, order = tile_tables(step, plan.form)
    workload = attrs.evolve(
        plan.workload,
        tiles=len(origins),
        row_stride=geometry.row_stride,
        column_stride=geometry.column_stride,
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    kernel = context.kernel(workload)
    assert stage.weight is not None
    filters = np.concatenate([groups.weights(f) for f in plan.form.transform_filters(stage.weight)])
    arguments = {
        "x": ARENA,
        "xo": context.table(plan.blocks.bases()[plan.clusters]),
        "xp": context.table(origins),
        "ct": context.table(_lanes_of_clusters(plan, stage)),
        "k": context.constant(schedules.pack_weights(kernel, filters)),
        **output_arguments(context, output, (order,)),
        **epilogue_arguments(context, stage.epilogue, step.operands, output, (order,)),
    }
    return context.call(kernel, arguments, step.touched, record)


def _lanes_of_clusters(plan: GroupedWinogradPlan, stage: Stage) -> Array:
    """Where among the lanes of its cluster's blocks every virtual channel lies, int [vectors, channels]."""
    lanes, per_cluster = plan.workload.lanes, plan.workload.vectors
    positions = plan.groups.tables(plan.blocks.positions.reshape(stage.groups, -1))
    block, lane = np.divmod(positions, lanes)
    of_cluster = np.repeat(plan.clusters, per_cluster, axis=0)
    return np.asarray((of_cluster[:, None, :] == block[:, :, None]).argmax(axis=2) * lanes + lane)
