"""What all kernels of depthwise convolutions share: arguments, tiles that cover the plane, and the stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.sharing import share_loops
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of
from schedules.workload import Depthwise
from schedules.x86.depthwise_tile import DepthwiseTile, Region, regions, tasks_sharing

Expr = Any


@attrs.frozen
class TileAt:
    """A tile, and where its first pixel is: block, batch element, row and column."""

    workload: Depthwise
    tile: DepthwiseTile
    block: Expr
    image: Expr
    row: Expr
    column: Expr

    def start(self, buffers: Buffers) -> tuple[Expr, ...]:
        """The terms of the first pixel's address in x."""
        return (
            buffers["xo"][self.block],
            buffers["xn"][self.image],
            times(self.row, self.workload.row_step),
            times(self.column, self.workload.column_step),
        )


Products = Callable[[TileAt, Buffers, Any], None]
"""Emits what adds a tile's products to its sums, a buffer [rows, columns, lanes] in registers."""


def pack_weights(workload: Depthwise, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[blocks * lanes, taps] → [block][tap][lane], flat."""
    expected = (workload.blocks * workload.lanes, len(workload.taps))
    if weights.shape != expected:
        raise ScheduleError(f"weights of shape {weights.shape} for a depthwise convolution of {expected}")
    blocked = weights.reshape(workload.blocks, workload.lanes, len(workload.taps)).transpose(0, 2, 1)
    return np.ascontiguousarray(blocked, dtype=np.float32).ravel()


def unpack_weights(workload: Depthwise, packed: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `pack_weights` packed: [blocks * lanes, taps]."""
    taps = len(workload.taps)
    by_block = packed.reshape(workload.blocks, taps, workload.lanes)
    return np.asarray(by_block.transpose(0, 2, 1).reshape(-1, taps))


def tile_of(workload: Depthwise, decisions: Decisions, machine: MachineParameters) -> DepthwiseTile:
    """The tile decided on, no larger than the plane.

    Raises ScheduleError unless its accumulators fit the registers.
    """
    machine = machine.for_lanes(workload.lanes)
    tile = DepthwiseTile(
        min(decisions["row_tile"], workload.rows),
        min(decisions["column_tile"], workload.columns),
        max(1, workload.lanes // machine.lanes),
    )
    if not tile.holds(machine):
        raise ScheduleError(
            f"{tile.rows} x {tile.columns} pixels of {tile.vectors} vectors do not fit "
            f"{machine.vector_registers} registers"
        )
    return tile


def schedule_tiles(
    kind: str,
    workload: Depthwise,
    tile: DepthwiseTile,
    decisions: Decisions,
    machine: MachineParameters,
    products: Products,
) -> Kernel:
    """The kernel that computes the plane tile by tile, with remainders below and beside the whole tiles."""
    blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
    taps = len(workload.taps)
    parameters = {
        "x": ("float32", UNBOUNDED),
        "xo": ("int32", blocks),
        "xn": ("int32", workload.batch),
        "k": ("float32", blocks * taps * lanes),
        "yo": ("int32", blocks),
        "yp": ("int32", pixels),
        "y": ("float32", UNBOUNDED),
        **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
    }
    parts = list(regions(workload, tile))

    def body(buffers: Buffers) -> None:
        for region in parts:
            _emit_region(workload, region, buffers, products)

    def scheduled() -> tirx.PrimFunc:
        schedule = Schedule(emit(parameters, body))
        tasks = tasks_sharing(workload, machine, decisions["threads"])
        for region in parts:
            o, n, i, j = schedule.get_loops(schedule.get_sblock(_tile_name(region)))
            share_loops(schedule, outer=[o, n, i, j], near=[n, i], tasks=tasks)
        return schedule.mod["main"]

    shape = f"{taps}x{blocks * lanes}x{pixels}_t{tile.rows}x{tile.columns}"
    return kernel_of(kind, shape, workload, decisions, scheduled, parameters)


def _emit_region(workload: Depthwise, region: Region, buffers: Buffers, products: Products) -> None:
    (first_row, _, rows), (first_column, _, columns) = region.rows, region.columns
    extents = (workload.blocks, workload.batch, *region.extents)
    with T.grid(*extents) as loops, T.sblock(_tile_name(region)):
        o, n, i, j = T.axis.remap("SSSS", list(loops))
        tile = DepthwiseTile(rows, columns)
        at = TileAt(workload, tile, o, n, first_row + i * rows, first_column + j * columns)
        _emit_tile(at, buffers, products)


def _emit_tile(at: TileAt, buffers: Buffers, products: Products) -> None:
    workload, tile, lanes = at.workload, at.tile, at.workload.lanes
    sums = T.sblock_alloc_buffer((tile.rows, tile.columns, lanes), "float32", scope="local")
    pixels = [(row, column) for row in range(tile.rows) for column in range(tile.columns)]
    for row, column in pixels:
        with T.vectorized(lanes) as v:
            start = epilogue.initial_value(workload.epilogue, buffers, at.block, v, lanes)
            T.buffer_store(sums, start, [row, column, v])
    products(at, buffers, sums)
    for row, column in pixels:
        pixel = (at.image * workload.rows + at.row + row) * workload.columns + at.column + column
        with T.vectorized(lanes) as v:
            position = epilogue.Position(at.block, pixel, v, lanes)
            value = epilogue.finish_sum(workload.epilogue, sums[row, column, v], buffers, position)
            target = address(buffers["yo"][at.block], buffers["yp"][pixel], v)
            T.buffer_store(buffers["y"], value, [target])


def times(index: Expr, step: int) -> Expr:
    """`index * step` in int64."""
    return tirx.Cast("int64", index) * tirx.IntImm("int64", step)


def _tile_name(region: Region) -> str:
    return f"tile_{region.index}"
