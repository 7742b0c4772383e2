"""Dense 3 x 3 convolutions of stride 1 by Winograd's minimal filtering, where it is modelled to pay.

    conv3x3(x, W) → Aᵀ [(G W Gᵀ) ⊙ (Bᵀ x B)] A     (Lavin & Gray, CVPR 2016)

The patches are transformed, each of the (m + 2)² products is a pointwise indexed convolution over tiles,
and the results are transformed back with the stage's epilogue. Tiles are worked off in chunks whose
patches and products stay in the second cache. Every task does so with a part of the tiles and meets nobody;
where these are too few, tasks share the tiles of a transform and deal out the products.
The rounding error grows with m: F(4 x 4, 3 x 3) stays below 1e-5 of the largest output in float32,
F(2 x 2, 3 x 3) is as exact as the direct form.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

import schedules
from schedules.machine import MachineParameters
from schedules.parallelism import share
from schedules.template import largest_divisor
from schedules.winograd import BY_OUTPUTS, Winograd
from schedules.workload import IndexedConv, WinogradInput, WinogradOutput

from ..anchor import Window
from ..array import Array
from ..channel_view import BlockView, ChannelView
from ..compiled import KernelRecord
from ..placement import Address, Blocked, Plain
from ..stage import Stage
from .context import ARENA, KernelCall, LoweringContext, Phase, side_by_side
from .operands import epilogue_arguments, epilogue_of, output_arguments, spread_rows
from .steps import StageStep

_ITEM = 4
_FEWEST_TILES = 12
"""Fewer leave the products' register tiles half empty."""
_MEMORY_BYTES_PER_CYCLE = 3.0
"""What one core gets from memory; transformed filters are four times as large as filters."""
WORTH = 0.85
"""Share of the direct form's cycles that must not be exceeded: the model is not that exact."""


@attrs.frozen(eq=False)
class WinogradPlan:
    """Which form, in chunks of how many tiles, and where patches and products lie meanwhile.

    parts: tasks that may each have tiles of their own; there is scratch for a chunk of each.
    """

    form: Winograd
    chunk: int
    parts: int
    blocks: BlockView
    patches: Plain
    products: Plain

    @property
    def scratch(self) -> tuple[Plain, ...]:
        """What lies in the arena meanwhile."""
        return self.patches, self.products

    def for_one_of(self, tasks: int) -> WinogradPlan:
        """For one task that shares it with nobody: with scratch of its own, a part of what all have."""
        held = self.chunk * self.parts
        chunk = -(-held // tasks)
        scratch = [Plain(s.name, (s.shape[0] // held * chunk,), s.dtype) for s in self.scratch]
        return WinogradPlan(self.form, chunk, 1, self.blocks, *scratch)

    def parts_of(self, tiles: int) -> int:
        """Among how many tasks so many tiles are divided; 1: they share what is done with all."""
        return self.parts if tiles >= self.parts * _FEWEST_TILES else 1

    def of_part(self, part: int) -> WinogradPlan:
        """For the task that has this part, with its scratch."""
        scratch = (
            attrs.evolve(s, address=_further(s.address or ARENA, part * (s.shape[0] // self.parts)))
            for s in self.scratch
        )
        return WinogradPlan(self.form, self.chunk, 1, self.blocks, *scratch)

    @property
    def in_common(self) -> WinogradPlan:
        """For tasks that share all, with all scratch."""
        return attrs.evolve(self, chunk=self.chunk * self.parts, parts=1)


def plan_winograd(
    stage: Stage, view: ChannelView, output: Blocked, machine: MachineParameters, threads: int
) -> WinogradPlan | str:
    """The plan for a stage, or why it is computed directly."""
    lanes, output_blocks = output.extent.lanes, output.blocks
    plain = Window((3, 3), (1, 1), stage.window.padding, (1, 1))
    if stage.kind != "convolution" or stage.groups != 1 or stage.window != plain:
        return "not a dense 3 x 3 convolution of stride 1"
    blocks = view.block_view()
    if blocks is None or view.extent.lanes != lanes:
        return "its operand does not lie in whole blocks"
    forms = [form for form in BY_OUTPUTS.values() if tiles_of(stage, form) >= _FEWEST_TILES]
    if not forms:
        return "its plane has too few tiles"
    cycles, form = min(
        ((_cycles(stage, len(blocks.blocks), output_blocks, lanes, f, machine), f) for f in forms),
        key=lambda pair: pair[0],
    )
    if cycles > WORTH * stage.macs / (machine.lanes * machine.fma_ports):
        return "the direct form is modelled to be as fast"
    per_tile = form.size**2 * lanes * _ITEM
    tiles = tiles_of(stage, form)
    parts = threads if tiles >= threads * _FEWEST_TILES else 1
    limit = threads // parts * machine.l2_bytes // (per_tile * (len(blocks.blocks) + output_blocks))
    chunk = _chunk(-(-tiles // parts), limit)
    scratch = [
        Plain(f"{stage.name}.{name}", (form.size**2 * count * chunk * parts * lanes,), "float32")
        for name, count in (("patches", len(blocks.blocks)), ("products", output_blocks))
    ]
    return WinogradPlan(form, chunk, parts, blocks, *scratch)


def tiles_of(stage: Stage, form: Winograd) -> int:
    """How many tiles of the form cover the planes of a stage's result."""
    n, _, rows, columns = stage.shape
    return n * -(-rows // form.outputs) * -(-columns // form.outputs)


def _chunk(tiles: int, limit: int) -> int:
    """The largest divisor of the tiles within the limit that fills register tiles; else all of them."""
    fitting = [d for d in range(_FEWEST_TILES, tiles + 1) if tiles % d == 0 and d <= limit]
    return max(fitting, default=tiles)


def _cycles(
    stage: Stage, blocks: int, output_blocks: int, lanes: int, form: Winograd, machine: MachineParameters
) -> float:
    """Modelled cycles: products, transforms, and filters read from memory beyond the direct form's."""
    tiles, points = tiles_of(stage, form), form.size**2
    _, outputs, _, _ = stage.shape
    assert stage.weight is not None
    channels = stage.weight.shape[1]
    transforms = tiles * (blocks + output_blocks) * transform_cycles(form, machine)
    products = points * tiles * channels * output_blocks * lanes / (machine.lanes * machine.fma_ports)
    extra = (points - 9) * channels * outputs * _ITEM
    total: float = products + transforms
    return total + (extra / _MEMORY_BYTES_PER_CYCLE if extra > machine.l2_bytes else 0.0)


def transform_cycles(form: Winograd, machine: MachineParameters) -> float:
    """Of one block's patch or product."""
    vector_work = 2.0 * form.size**2 + sum(sum(f != 0 for f in row) for row in form.patch) * form.size * 2
    return vector_work / machine.fma_ports


def lower_winograd(
    context: LoweringContext, step: StageStep, plan: WinogradPlan, record: KernelRecord
) -> KernelCall:
    """All invocations of a convolution: a run of each task that has tiles of its own, or what tasks share."""
    origins, order = tile_tables(step, plan.form)
    order = order.reshape(len(origins), -1)
    tasks = min(context.threads, plan.parts_of(len(origins)))
    if tasks == 1:
        return KernelCall(tuple(_phases(context, step, plan.in_common, origins, order)), record)
    alone, count = attrs.evolve(context, threads=1), -(-len(origins) // tasks)
    runs = []
    for task in range(tasks):
        mine = share(task, len(origins), tasks, shift=0)
        # all have as many: who would have one less computes the last one twice
        tiles = np.minimum(np.arange(mine.start, mine.start + count), mine.stop - 1)
        phases = _phases(alone, step, plan.of_part(task), origins[tiles], order[tiles])
        runs.append(tuple(KernelCall(tuple(phases), record).invocations))
    return KernelCall((tuple(runs),), record)


def _phases(
    context: LoweringContext, step: StageStep, plan: WinogradPlan, origins: Array, order: Array
) -> Iterator[Phase]:
    """Per chunk of some tiles: their patches, products and outputs; tables as of `tile_tables`."""
    stage, view, output, form = step.stage, step.view, step.output, plan.form
    chunk = _chunk(len(origins), plan.chunk)
    if chunk > plan.chunk:
        chunk = largest_divisor(len(origins), plan.chunk)
    lanes, points, pixels = output.extent.lanes, form.size**2, form.outputs**2
    patches, products = (p.address or ARENA for p in plan.scratch)
    geometry = view.geometry
    to_patches = context.kernel(
        WinogradInput(
            form.outputs, len(plan.blocks.blocks), lanes, chunk, geometry.row_stride, geometry.column_stride
        )
    )
    # Every product is computed by one task, which then reads only its own filters.
    multiply = context.kernel(IndexedConv(view.channels, output.blocks, lanes, chunk), threads=1)
    to_outputs = context.kernel(
        WinogradOutput(form.outputs, output.blocks, lanes, chunk, epilogue_of(stage.epilogue, step.operands))
    )
    slots = plan.blocks.positions
    plane = chunk * lanes
    shared = {
        "ct": context.table(slots // lanes * plane + slots % lanes),
        "pt": context.table(np.arange(chunk) * lanes),
        "yo": context.table(np.arange(output.blocks) * plane),
        "yp": context.table(np.arange(chunk) * lanes),
    }
    assert stage.weight is not None
    filters = [
        context.constant(schedules.pack_weights(multiply, spread_rows(filters, output)))
        for filters in form.transform_filters(stage.weight)
    ]
    source = {"x": ARENA, "xo": context.table(plan.blocks.bases()), "xp": context.table(origins)}
    target = output_arguments(context, output, order.reshape(-1))
    target |= epilogue_arguments(context, stage.epilogue, step.operands, output, order.reshape(-1))
    multiplied = side_by_side(
        context.invoke(
            multiply,
            {
                **shared,
                "x": _further(patches, point * len(plan.blocks.blocks) * plane),
                "k": filters[point],
                "y": _further(products, point * output.blocks * plane),
            },
        )
        for point in range(points)
    )
    for start in range(0, len(origins), chunk):
        per_pixel = {name: start * pixels for name in target if name == "yp" or name.endswith("_rp")}
        transformed = context.invoke(to_patches, {**_from(source, {"xp": start}), "y": patches})
        finished = context.invoke(to_outputs, {**_from(target, per_pixel), "x": products})
        yield from (side_by_side([transformed]), multiplied, side_by_side([finished]))


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


def _further(address: Address, elements: int) -> Address:
    return attrs.evolve(address, offset=address.offset + elements * _ITEM)


def _from(arguments: dict[str, Address], starts: dict[str, int]) -> dict[str, Address]:
    """The arguments with some tables entered at an element."""
    return {name: _further(a, starts.get(name, 0)) for name, a in arguments.items()}
