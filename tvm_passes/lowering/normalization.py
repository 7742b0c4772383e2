"""Stages that normalize: over the channels of every pixel, or over the plane and groups of channels.

Like channel-wise stages they walk the blocks of what they read and write a result with the same blocks. Which
lanes hold channels, and which channels make a group, is in tables: channels may lie anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from schedules.template import divisors
from schedules.workload import GroupNorm, LayerNorm, Softmax

from ..anchor import Window
from ..array import Array
from ..compiled import KernelRecord
from ..placement import Address
from .channelwise import blocks_of, call_stage
from .context import ARENA, KernelCall, LoweringContext
from .operands import epilogue_of, spread_rows
from .steps import StageStep


def lower_layer_norm(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """`y = (x - mean) / sqrt(variance + epsilon)` over the channels of every pixel."""
    return _lower_over_channels(context, step, record, partial(LayerNorm, epsilon=step.stage.epsilon))


def lower_softmax(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """`y = exp(x) / sum(exp(x))` over the channels of every pixel."""
    return _lower_over_channels(context, step, record, Softmax)


def _lower_over_channels(
    context: LoweringContext,
    step: StageStep,
    record: KernelRecord,
    workload_of: Callable[..., LayerNorm | Softmax],
) -> KernelCall:
    n, channels, rows, columns = step.stage.shape
    workload = workload_of(
        channels=channels,
        blocks=step.output.blocks,
        lanes=step.output.extent.lanes,
        pixels=n * rows * columns,
        epilogue=epilogue_of(step.stage.epilogue, step.operands),
    )
    return call_stage(context, step, context.kernel(workload), _over_channels(context, step), record)


def _over_channels(context: LoweringContext, step: StageStep) -> dict[str, Address]:
    """The operand's tables, and 1 for every lane that a channel takes."""
    _, channels, rows, columns = step.stage.shape
    return {
        "x": ARENA,
        "xo": context.table(blocks_of(step).bases()),
        "xp": context.table(step.view.pixels(Window(), rows, columns)),
        "used": context.constant(spread_rows(np.ones(channels, np.float32), step.output)),
    }


def lower_group_norm(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """`y = (x - mean) / sqrt(variance + epsilon)` over the plane and the channels of a group."""
    stage, geometry = step.stage, step.view.geometry
    n, channels, rows, columns = stage.shape
    blocks, lanes = step.output.blocks, step.output.extent.lanes
    clusters, members = clusters_of(step.output.positions.reshape(stage.groups, -1), blocks, lanes)
    workload = GroupNorm(
        groups=stage.groups,
        channels=channels // stage.groups,
        clusters=clusters,
        blocks=blocks,
        lanes=lanes,
        batch=n,
        pixels=rows * columns,
        epsilon=stage.epsilon,
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    y, x = np.divmod(np.arange(rows * columns), columns)
    arguments = {
        "x": ARENA,
        "xo": context.table(blocks_of(step).bases()),
        "xn": context.table(geometry.offset(np.arange(n), 0, 0)),
        "xp": context.table(y * geometry.row_stride + x * geometry.column_stride),
        "member": context.table(members),
    }
    return call_stage(context, step, context.kernel(workload), arguments, record)


def clusters_of(positions: Array, blocks: int, lanes: int) -> tuple[int, Array]:
    """The most equal runs of blocks that hold equally many whole groups, and the groups in their order.

    positions: int [groups, channels of a group].
    """
    groups = len(positions)
    for count in reversed(divisors(blocks, blocks)):
        run_of = positions // lanes // (blocks // count)
        whole = (run_of == run_of[:, :1]).all()
        if whole and (np.bincount(run_of[:, 0], minlength=count) * count == groups).all():
            return count, positions[np.argsort(run_of[:, 0], kind="stable")]
    raise AssertionError("one run of all blocks holds all groups")
