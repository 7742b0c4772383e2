"""Dense 3 x 3 convolutions of stride 1 by Winograd's minimal filtering, where it is modelled to pay.

    conv3x3(x, W) → Aᵀ [(G W Gᵀ) ⊙ (Bᵀ x B)] A     (Lavin & Gray, CVPR 2016)

The patches are transformed, each of the (m + 2)² products is a pointwise indexed convolution over tiles,
and the results are transformed back with the stage's epilogue: chunk by chunk, as planned (`winograd_plan`).
The rounding error grows with m: F(4 x 4, 3 x 3) stays below 1e-5 of the largest output in float32,
F(2 x 2, 3 x 3) is as exact as the direct form.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

import schedules
from schedules.parallelism import share
from schedules.template import Kernel
from schedules.winograd import Winograd
from schedules.workload import IndexedConv, WinogradInput, WinogradOutput

from ..array import Array
from ..compiled import KernelRecord
from ..placement import Address
from .context import ARENA, KernelCall, LoweringContext, Phase, side_by_side
from .operands import epilogue_arguments, epilogue_of, output_arguments, spread_rows
from .steps import StageStep
from .touched import touched
from .winograd_plan import WinogradPlan, further

_Products = tuple[Kernel, list[dict[str, Address]]]
"""The kernel of all products of a chunk, and the constants that each is called with."""


def lower_winograd(
    context: LoweringContext, step: StageStep, plan: WinogradPlan, record: KernelRecord
) -> KernelCall:
    """All invocations of a convolution: a run of each task that has tiles of its own, or what tasks share."""
    origins, order = tile_tables(step, plan.form)
    order = order.reshape(len(origins), -1)
    tasks = min(context.threads, plan.parts_of(len(origins)))
    plan = (plan.in_common if tasks == 1 else plan).in_chunks(-(-len(origins) // tasks))
    products = _products(context, step, plan)

    def phases(context: LoweringContext, plan: WinogradPlan, tiles: range) -> tuple[Phase, ...]:
        count = -(-len(tiles) // plan.chunk) * plan.chunk
        # all chunks are full: the last tile is computed again for those that are missing
        numbers = np.minimum(np.arange(tiles.start, tiles.start + count), tiles.stop - 1)
        return tuple(_phases(context, step, plan, products, origins[numbers], order[numbers]))

    if tasks == 1:
        return KernelCall(phases(context, plan, range(len(origins))), record)
    alone = attrs.evolve(context, threads=1)
    runs = []
    for task in range(tasks):
        own = phases(alone, plan.of_part(task), share(task, len(origins), tasks, shift=0))
        runs.append(tuple(KernelCall(own, record).invocations))
    return KernelCall((tuple(runs),), record)


def _products(context: LoweringContext, step: StageStep, plan: WinogradPlan) -> _Products:
    """Of a chunk of tiles. Every one is computed by one task, which then reads only its own filters."""
    view, output, weight = step.view, step.output, step.stage.weight
    assert weight is not None
    workload = IndexedConv(view.channels, output.blocks, output.extent.lanes, plan.chunk)
    kernel = context.kernel(workload, threads=1)
    lanes, slots = output.extent.lanes, plan.blocks.positions
    plane = plan.chunk * lanes
    tables = {
        "ct": context.table(slots // lanes * plane + slots % lanes),
        "pt": context.table(np.arange(plan.chunk) * lanes),
        "yo": context.table(np.arange(output.blocks) * plane),
        "yp": context.table(np.arange(plan.chunk) * lanes),
    }
    return kernel, [
        {**tables, "k": context.constant(schedules.pack_weights(kernel, spread_rows(filters, output)))}
        for filters in plan.form.transform_filters(weight)
    ]


def _phases(
    context: LoweringContext,
    step: StageStep,
    plan: WinogradPlan,
    products: _Products,
    origins: Array,
    order: Array,
) -> Iterator[Phase]:
    """Per chunk of some tiles: their patches, products and outputs; tables as of `tile_tables`."""
    stage, view, output, form, chunk = step.stage, step.view, step.output, plan.form, plan.chunk
    lanes, pixels = output.extent.lanes, form.outputs**2
    patched, multiplied = (p.address or ARENA for p in plan.scratch)
    geometry = view.geometry
    to_patches = context.kernel(
        WinogradInput(
            form.outputs, len(plan.blocks.blocks), lanes, chunk, geometry.row_stride, geometry.column_stride
        )
    )
    to_outputs = context.kernel(
        WinogradOutput(form.outputs, output.blocks, lanes, chunk, epilogue_of(stage.epilogue, step.operands))
    )
    source = {"x": ARENA, "xo": context.table(plan.blocks.bases()), "xp": context.table(origins)}
    target = output_arguments(context, output, (order.reshape(-1),))
    target |= epilogue_arguments(context, stage.epilogue, step.operands, output, (order.reshape(-1),))
    kernel, constants = products
    plane = chunk * lanes
    multiplications = side_by_side(
        context.invoke(
            kernel,
            {
                **of_point,
                "x": further(patched, point * len(plan.blocks.blocks) * plane),
                "y": further(multiplied, point * output.blocks * plane),
            },
            touched(plan.products, {"x": [plan.patches]}),
        )
        for point, of_point in enumerate(constants)
    )
    for start in range(0, len(origins), chunk):
        per_pixel = {name: start * pixels for name in target if name == "yp" or name.endswith("_rp")}
        transformed = context.invoke(
            to_patches,
            {**_from(source, {"xp": start}), "y": patched},
            touched(plan.patches, {"x": step.view.tensors}),
        )
        finished = context.invoke(
            to_outputs,
            {**_from(target, per_pixel), "x": multiplied},
            touched(output, {"x": [plan.products], **step.second_tensors}),
        )
        yield from (side_by_side([transformed]), multiplications, side_by_side([finished]))


def tile_tables(step: StageStep, form: Winograd) -> tuple[Array, Array]:
    """Where every tile's patch starts, and which of the output's pixels its pixels are.

    A pixel beyond the plane stands for the tile's first one, which is written after it.
    """
    n, _, rows, columns = step.stage.shape
    top, left = step.stage.window.padding[:2]
    images, firsts = np.arange(n), np.arange(0, rows, form.outputs)
    if step.strip is not None:
        images = images[step.strip.image : step.strip.image + 1]
        firsts = firsts[(firsts >= step.strip.first) & (firsts < step.strip.last)]
    image, y, x = (
        a.reshape(-1) for a in np.meshgrid(images, firsts, np.arange(0, columns, form.outputs), indexing="ij")
    )
    origins = step.view.geometry.offset(image, y - top, x - left)
    i, j = np.divmod(np.arange(form.outputs**2), form.outputs)
    py, px = y[:, None] + i, x[:, None] + j
    inside = (py < rows) & (px < columns)
    py, px = np.where(inside, py, y[:, None]), np.where(inside, px, x[:, None])
    return origins, ((image[:, None] * rows + py) * columns + px).reshape(-1)


def _from(arguments: dict[str, Address], starts: dict[str, int]) -> dict[str, Address]:
    """The arguments with some tables entered at an element."""
    return {name: further(a, starts.get(name, 0)) for name, a in arguments.items()}
