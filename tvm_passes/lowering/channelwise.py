"""Stages that treat every channel alone: depthwise convolutions, pools, element-wise chains.

They walk the blocks of what they read, whatever tensors these belong to, and write a result with the
same blocks; so a concat or a permutation in front of them costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import schedules
from schedules.workload import Depthwise, Elementwise, GlobalPool, WindowPool, WindowSum

from ..anchor import Window
from ..array import Array
from ..channel_view import BlockView
from ..compiled import KernelRecord
from ..placement import ZERO_BASE, Address
from ..stage import Stage
from ..window_taps import WindowTaps, window_taps
from .borders import Pixels, classes_of_pixels
from .context import ARENA, Invocation, KernelCall, LoweringContext, side_by_side
from .operands import epilogue_arguments, epilogue_of, lane_bases, output_arguments, spread_rows
from .steps import StageStep
from .virtual_channels import taps_of


def lower_depthwise(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """`y[c, p] = sum_t w[c, t] x[c, p * stride + t]`, by classes of pixels where x is spaced."""
    n, _, rows, columns = step.stage.shape
    classes = classes_of_pixels(step.stage.window, (n, rows, columns))
    chosen = [pixels for whole in classes if (pixels := whole.among(step.pixels)) is not None]
    return KernelCall((side_by_side([_depthwise(context, step, pixels) for pixels in chosen]),), record)


def _depthwise(context: LoweringContext, step: StageStep, pixels: Pixels) -> Invocation:
    stage, view, output = step.stage, step.view, step.output
    row_step, column_step = view.steps(stage.window)
    pixels_of_image = len(pixels.numbers) // step.batch
    starts = view.pixels(stage.window, *stage.shape[2:])[pixels.numbers]
    taps, weights = taps_of(stage, view, pixels)
    workload = Depthwise(
        blocks=output.blocks,
        lanes=output.extent.lanes,
        batch=step.batch,
        rows=pixels_of_image // pixels.columns,
        columns=pixels.columns,
        row_step=row_step,
        column_step=column_step,
        taps=tuple(int(t) for t in taps),
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    kernel = context.kernel(workload)
    bases = blocks_of(step).bases() if pixels.taps.size else np.full(output.blocks, ZERO_BASE)
    arguments = {
        "x": ARENA,
        "xo": context.table(bases),
        "xn": context.table(starts[::pixels_of_image]),
        "k": context.constant(schedules.pack_weights(kernel, spread_rows(weights[:, 0], output))),
    }
    return _invoke(context, step, kernel, arguments, pixels.numbers)


def lower_window_pool(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """Maximum or weighted sum over windows, whose taps are all inside the plane."""
    stage, view, blocks = step.stage, step.view, blocks_of(step)
    geometry = view.geometry
    images = np.arange(stage.shape[0]) if step.strip is None else step.strip.image
    rows, columns = pool_taps(stage, geometry.extent.rows, geometry.extent.columns)
    form: dict[str, Any] = {
        "blocks": step.output.blocks,
        "lanes": step.output.extent.lanes,
        "batch": step.batch,
        "rows": step.rows,
        "columns": stage.shape[3],
        "row_taps": rows.count,
        "column_taps": columns.count,
        "epilogue": epilogue_of(stage.epilogue, step.operands),
    }
    arguments = {
        "x": ARENA,
        "xo": context.table(blocks.bases()),
        "xn": context.table(geometry.offset(images, 0, 0)),
        "row": context.table(rows.index[step.row_range] * geometry.row_stride),
    }
    if stage.reduce == "max":
        kernel = context.kernel(WindowPool(**form))
        arguments["col"] = context.table(columns.index * geometry.column_stride)
        return call_stage(context, step, kernel, arguments, record)
    read = geometry.extent.columns
    kernel = context.kernel(WindowSum(read_columns=read, column_step=geometry.column_stride, **form))
    arguments |= {
        "row_weight": context.constant(rows.weight[step.row_range]),
        "col": context.table(columns.index),
        "col_weight": context.constant(columns.weight),
    }
    return call_stage(context, step, kernel, arguments, record)


def pool_taps(stage: Stage, rows: int, columns: int) -> tuple[WindowTaps, WindowTaps]:
    """What a window_pool's windows over planes of `rows` x `columns` read along both axes."""
    if stage.taps is not None:
        return stage.taps
    window = stage.window
    along_rows, along_columns = (
        window_taps(
            window.kernel[axis],
            window.stride[axis],
            (window.padding[axis], window.padding[axis + 2]),
            window.dilation[axis],
            stage.shape[2 + axis],
            size,
            stage.count_include_pad,
        )
        for axis, size in enumerate((rows, columns))
    )
    return along_rows, along_columns


def lower_global_pool(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """Maximum or average over the whole plane."""
    stage, view, blocks = step.stage, step.view, blocks_of(step)
    geometry = view.geometry
    rows, columns = geometry.extent.rows, geometry.extent.columns
    workload = GlobalPool(
        kind="avg" if stage.reduce == "avg" else "max",
        blocks=step.output.blocks,
        lanes=step.output.extent.lanes,
        batch=stage.shape[0],
        pixels=rows * columns,
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    kernel = context.kernel(workload)
    y, x = np.divmod(np.arange(rows * columns), columns)
    arguments = {
        "x": ARENA,
        "xo": context.table(blocks.bases()),
        "xn": context.table(geometry.offset(np.arange(stage.shape[0]), 0, 0)),
        "xp": context.table(y * geometry.row_stride + x * geometry.column_stride),
    }
    return call_stage(context, step, kernel, arguments, record)


def lower_elementwise(context: LoweringContext, step: StageStep, record: KernelRecord) -> KernelCall:
    """A chain of element-wise operators over blocks, or over single channels where the operand moves."""
    stage, view = step.stage, step.view
    _, _, rows, columns = stage.shape
    output, pixels = step.output, step.pixels
    workload = Elementwise(
        blocks=output.blocks,
        lanes=output.extent.lanes,
        pixels=len(pixels),
        access="lane" if step.blocks is None else "block",
        epilogue=epilogue_of(stage.epilogue, step.operands),
    )
    kernel = context.kernel(workload)
    arguments: dict[str, Address] = {
        "x": ARENA,
        "xp": context.table(view.pixels(Window(), rows, columns)[pixels]),
    }
    if step.blocks is not None:
        arguments["xb"] = context.table(step.blocks.bases())
    else:
        arguments["xl"] = context.table(lane_bases(view, output))
    return call_stage(context, step, kernel, arguments, record)


def blocks_of(step: StageStep) -> BlockView:
    """The blocks that the stage reads."""
    assert step.blocks is not None, f"{step.stage.name}: {step.stage.kind} of an operand that moves"
    return step.blocks


def call_stage(
    context: LoweringContext,
    step: StageStep,
    kernel: schedules.Kernel,
    arguments: dict[str, Address],
    record: KernelRecord,
) -> KernelCall:
    """The kernel call, with the arguments that every stage has."""
    return KernelCall((side_by_side([_invoke(context, step, kernel, arguments, step.pixels)]),), record)


def _invoke(
    context: LoweringContext,
    step: StageStep,
    kernel: schedules.Kernel,
    arguments: dict[str, Address],
    order: Array,
) -> Invocation:
    """The kernel for the pixels `order` of the stage's result."""
    arguments |= output_arguments(context, step.output, (order,))
    arguments |= epilogue_arguments(context, step.stage.epilogue, step.operands, step.output, (order,))
    return context.invoke(kernel, arguments, step.touched)
