"""Steps that only move data: layout changes at the graph's edges, halos, and movement that nothing folds.

All are `Elementwise` workloads without an epilogue: a copy through two address tables.
"""

from __future__ import annotations

import numpy as np

from schedules.workload import Elementwise

from ..anchor import Window
from ..array import Array
from ..compiled import KernelRecord
from ..index_map import as_4d
from ..placement import ZERO_BASE, Address, Blocked, Plain
from .context import ARENA, Invocation, KernelCall, LoweringContext, side_by_side
from .operands import lane_bases
from .steps import FillStep, GatherStep, PackStep, RepackStep, UnpackStep
from .touched import Touched, touched

ITEM = 4
"""Bytes of the only element type that is copied so far, float32."""


def lower_pack(context: LoweringContext, step: PackStep, record: KernelRecord) -> KernelCall:
    """Plain to blocked. A planar tensor is copied in rows: there, a row is the vector."""
    output, geometry = step.output, step.output.geometry
    n, channels, rows, columns = as_4d(step.source.shape)
    plane = rows * columns
    bases = np.arange(channels) * plane
    batch = np.arange(n) * channels * plane
    source = address_of(context, step.source)
    if output.extent.lanes == 1:
        starts = (batch[:, None] + np.arange(rows)[None, :] * columns).reshape(-1)
        targets = geometry.offset(np.arange(n)[:, None], np.arange(rows)[None, :], 0).reshape(-1)
        workload = Elementwise(blocks=channels, lanes=columns, pixels=n * rows)
        tables = {"xb": bases, "xp": starts, "yo": output.channel_base(output.positions), "yp": targets}
        return _copy(context, workload, source, ARENA, tables, touched(output, {"x": [step.source]}), record)
    lanes = np.zeros(output.blocks * output.extent.lanes, np.int64)
    lanes[output.positions] = bases
    workload = Elementwise(output.blocks, output.extent.lanes, n * plane, access="lane")
    starts = (batch[:, None] + np.arange(plane)[None, :]).reshape(-1)
    tables = {"xl": lanes, "xp": starts, "yo": _blocks(output), "yp": geometry.pixels()}
    return _copy(context, workload, source, ARENA, tables, touched(output, {"x": [step.source]}), record)


def lower_unpack(context: LoweringContext, step: UnpackStep, record: KernelRecord) -> KernelCall:
    """Blocked, through a view, to plain."""
    n, channels, rows, columns = as_4d(step.output.shape)
    plane = rows * columns
    targets = (np.arange(n)[:, None] * channels * plane + np.arange(plane)[None, :]).reshape(-1)
    bases, lanes = step.view.bases(), step.view.extent.lanes
    tables = {
        "xb": bases,
        "xp": step.view.pixels(Window(), rows, columns),
        "yo": np.arange(channels) * plane,
        "yp": targets,
    }
    in_squares = _rises_in_groups(bases, lanes) and _rises_in_groups(targets, lanes)
    workload = Elementwise(blocks=channels, lanes=1, pixels=n * plane, square=lanes if in_squares else 1)
    read = touched(step.output, {"x": step.view.tensors})
    return _copy(context, workload, ARENA, address_of(context, step.output), tables, read, record)


def lower_repack(context: LoweringContext, step: RepackStep, record: KernelRecord) -> KernelCall:
    """Blocked, through a view, to blocked."""
    output = step.output
    extent = output.extent
    workload = Elementwise(
        output.blocks, extent.lanes, extent.batch * extent.rows * extent.columns, access="lane"
    )
    tables = {
        "xl": lane_bases(step.view, output),
        "xp": step.view.pixels(Window(), extent.rows, extent.columns),
        "yo": _blocks(output),
        "yp": output.geometry.pixels(),
    }
    return _copy(context, workload, ARENA, ARENA, tables, touched(output, {"x": step.view.tensors}), record)


def lower_fill(context: LoweringContext, step: FillStep, record: KernelRecord) -> KernelCall | None:
    """The halo of one tensor from its own elements; None if nobody reads a halo."""
    geometry, extent = step.tensor.geometry, step.tensor.extent
    sizes = (extent.clip, extent.rows, extent.columns)
    halos = (geometry.halo.batch, geometry.halo.rows, geometry.halo.columns)
    axes = [np.arange(-h[0], size + h[1]) for h, size in zip(halos, sizes, strict=True)]
    n, y, x = (a.reshape(-1) for a in np.meshgrid(*axes, indexing="ij"))
    outside = (n < 0) | (n >= sizes[0]) | (y < 0) | (y >= sizes[1]) | (x < 0) | (x >= sizes[2])
    if not outside.any():
        return None
    target = [c[outside] for c in (n, y, x)]
    if extent.border == "wrap":
        source = [c % size for c, size in zip(target, sizes, strict=True)]
    else:
        source = [c.clip(0, size - 1) for c, size in zip(target, sizes, strict=True)]
    clips = geometry.offset(np.arange(extent.clips) * extent.clip, 0, 0)[:, None]
    reads, writes = ((clips + geometry.displacement(*pixel)).reshape(-1) for pixel in (source, target))
    blocks = _blocks(step.tensor)
    workload = Elementwise(len(blocks), extent.lanes, len(reads))
    tables = {"xb": blocks, "xp": reads, "yo": blocks, "yp": writes}
    filled = touched(step.tensor, {"x": [step.tensor]}, "halo")
    return _copy(context, workload, ARENA, ARENA, tables, filled, record)


def lower_clear(context: LoweringContext, tensor: Blocked) -> Invocation:
    """Zeros in the halo that is read, where something else lay before: a copy of the arena's first zeros.

    Who writes the tensor writes other elements, so it runs beside that kernel.
    """
    return _zeros(context, tensor, tensor.geometry.around(tensor.halo))


def lower_carry(context: LoweringContext, before: Blocked, after: Blocked, rows: range) -> Invocation:
    """Rows from where they lie in a ring to where they lie next, halos of columns included."""
    pixels = _row_pixels(before, rows)
    tables = {"xb": _blocks(before), "xp": pixels, "yo": _blocks(after), "yp": _row_pixels(after, rows)}
    workload = Elementwise(after.blocks, after.extent.lanes, len(pixels))
    return _copied(context, workload, ARENA, ARENA, tables, touched(after, {"x": [before]}, "rows"))


def lower_zero_rows(context: LoweringContext, tensor: Blocked, rows: range) -> Invocation:
    """Zeros in rows of a ring that lie above or below the plane."""
    return _zeros(context, tensor, _row_pixels(tensor, rows))


def lower_gather(context: LoweringContext, step: GatherStep, record: KernelRecord) -> KernelCall:
    """Any index map, element by element. Sources lie in the arena, whose first element is zero."""
    index_map = step.index_map
    sources = [address_of(context, source) for source in step.sources]
    base = ARENA if len({s.region for s in sources} | {"arena"}) == 1 else sources[0]
    starts = [s.offset // ITEM - base.offset // ITEM for s in sources]
    coordinates = [
        np.arange(1, np.prod(s) + 1, dtype=np.int64).reshape(s) + start
        for s, start in zip(index_map.sources, starts, strict=True)
    ]
    reads = index_map.apply(coordinates).reshape(-1)
    elements = np.where(reads == 0, 0, reads - 1)
    workload = Elementwise(blocks=1, lanes=1, pixels=len(elements))
    tables = {"xb": np.zeros(1), "xp": elements, "yo": np.zeros(1), "yp": np.arange(len(elements))}
    moved = touched(step.output, {"x": step.sources})
    return _copy(context, workload, base, address_of(context, step.output), tables, moved, record)


def address_of(context: LoweringContext, tensor: Plain) -> Address:
    """Where a plain tensor lies; a constant is stored on the way."""
    tensor = tensor.root or tensor
    if tensor.value is not None:
        return context.constant(tensor.value)
    assert tensor.address is not None, f"{tensor.name} was never placed"
    return tensor.address


def _rises_in_groups(offsets: Array, size: int) -> bool:
    """In every group of so many the offsets rise by one; the last group may be a smaller one."""
    within = np.arange(len(offsets)) % size
    return bool((offsets == np.repeat(offsets[::size], size)[: len(offsets)] + within).all())


def _row_pixels(tensor: Blocked, rows: range) -> Array:
    """Offsets of the pixels of rows, halos of columns included."""
    geometry = tensor.geometry
    before, after = geometry.halo.columns
    y, x = np.array(rows)[:, None], np.arange(-before, tensor.extent.columns + after)
    return geometry.offset(0, y, x).reshape(-1)


def _zeros(context: LoweringContext, tensor: Blocked, pixels: Array) -> Invocation:
    tables = {
        "xb": np.full(tensor.blocks, ZERO_BASE),
        "xp": np.zeros(len(pixels)),
        "yo": _blocks(tensor),
        "yp": pixels,
    }
    workload = Elementwise(tensor.blocks, tensor.extent.lanes, len(pixels))
    return _copied(context, workload, ARENA, ARENA, tables, touched(tensor, {}, "halo"))


def _blocks(tensor: Blocked) -> Array:
    return tensor.block_base(np.arange(tensor.blocks))


def _copy(
    context: LoweringContext,
    workload: Elementwise,
    source: Address,
    target: Address,
    tables: dict[str, Array],
    touched: Touched,
    record: KernelRecord,
) -> KernelCall:
    return KernelCall((side_by_side([_copied(context, workload, source, target, tables, touched)]),), record)


def _copied(
    context: LoweringContext,
    workload: Elementwise,
    source: Address,
    target: Address,
    tables: dict[str, Array],
    touched: Touched,
) -> Invocation:
    arguments = {"x": source, "y": target, **{name: context.table(table) for name, table in tables.items()}}
    return context.invoke(context.kernel(workload), arguments, touched)
