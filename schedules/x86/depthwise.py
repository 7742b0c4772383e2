"""Depthwise convolution over blocked channels: every lane is a channel, every tap a constant displacement.

    y[yo[o] + yp[n, h, w] + v] = epilogue(sum_t x[xo[o] + xn[n] + p(h, w) + taps[t] + v] * k[o, t, v])

with `p(h, w) = h * row_step + w * column_step`. A tile, a rectangle of output pixels, is accumulated in
registers. Its code walks the vectors of x that the tile reads: each is loaded once and goes into all sums
that take it, while the weights stay in registers as far as they fit. So loads do not compete with
multiply-adds, as one load for each of them would.

Nothing is fetched ahead: a tile reads a few rows, which are streams that the processor follows by itself.

Decisions:
    row_tile, column_tile: the tile; what does not fill one is computed with a smaller one.
    threads:    how many share the tiles, if the work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.sharing import share_loops
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of
from schedules.workload import Depthwise, Workload
from schedules.x86.depthwise_tile import (
    DepthwiseTile,
    Region,
    cheapest_tile,
    regions,
    tasks_sharing,
    tiles_that_fit,
)

KIND = "depthwise"

Expr = Any


def pack_weights(workload: Depthwise, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[blocks * lanes, taps] → [block][tap][lane], flat."""
    expected = (workload.blocks * workload.lanes, len(workload.taps))
    if weights.shape != expected:
        raise ScheduleError(f"weights of shape {weights.shape} for a depthwise convolution of {expected}")
    blocked = weights.reshape(workload.blocks, workload.lanes, len(workload.taps)).transpose(0, 2, 1)
    return np.ascontiguousarray(blocked, dtype=np.float32).ravel()


def _emit_region(workload: Depthwise, region: Region, buffers: Buffers) -> None:
    (first_row, _, rows), (first_column, _, columns) = region.rows, region.columns
    extents = (workload.blocks, workload.batch, *region.extents)
    with T.grid(*extents) as loops, T.sblock(_tile_name(region)):
        o, n, i, j = T.axis.remap("SSSS", list(loops))
        _emit_tile(
            workload,
            DepthwiseTile(rows, columns),
            (o, n, first_row + i * rows, first_column + j * columns),
            buffers,
        )


def _emit_tile(workload: Depthwise, tile: DepthwiseTile, at: tuple[Expr, ...], buffers: Buffers) -> None:
    """Straight-line code for the tile that begins at (block, batch element, row, column)."""
    o, n, h, w = at
    lanes, taps = workload.lanes, len(workload.taps)
    sums = T.sblock_alloc_buffer((tile.rows, tile.columns, lanes), "float32", scope="local")
    pixels = [(row, column) for row in range(tile.rows) for column in range(tile.columns)]
    for row, column in pixels:
        with T.vectorized(lanes) as v:
            start = epilogue.initial_value(workload.epilogue, buffers, o, v, lanes)
            T.buffer_store(sums, start, [row, column, v])
    first = (
        buffers["xo"][o],
        buffers["xn"][n],
        _times(h, workload.row_step),
        _times(w, workload.column_step),
    )
    for displacement, uses in tile.reads(workload):
        for row, column, tap in uses:
            with T.vectorized(lanes) as v:
                x = buffers["x"][address(*first, displacement, v)]
                k = buffers["k"][(o * taps + tap) * lanes + v]
                T.buffer_store(sums, sums[row, column, v] + x * k, [row, column, v])
    for row, column in pixels:
        pixel = (n * workload.rows + h + row) * workload.columns + w + column
        with T.vectorized(lanes) as v:
            position = epilogue.Position(o, pixel, v, lanes)
            value = epilogue.finish_sum(workload.epilogue, sums[row, column, v], buffers, position)
            T.buffer_store(buffers["y"], value, [address(buffers["yo"][o], buffers["yp"][pixel], v)])


def _times(index: Expr, step: int) -> Expr:
    return tirx.Cast("int64", index) * tirx.IntImm("int64", step)


def _tile_name(region: Region) -> str:
    return f"tile_{region.index}"


class DepthwiseTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 2

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, Depthwise, "a depthwise convolution")

    def defaults(self, workload: Depthwise, machine: MachineParameters, threads: int) -> Decisions:
        tile = cheapest_tile(workload, machine, threads)
        return {"row_tile": tile.rows, "column_tile": tile.columns, "threads": threads}

    def candidates(
        self, workload: Depthwise, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        fitting = list(tiles_that_fit(workload, machine))
        return {
            "row_tile": tuple(sorted({tile.rows for tile in fitting})),
            "column_tile": tuple(sorted({tile.columns for tile in fitting})),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: Depthwise, decisions: Decisions, machine: MachineParameters) -> Kernel:
        tile = _tile_of(workload, decisions, machine)
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
                _emit_region(workload, region, buffers)

        schedule = Schedule(emit(parameters, body))
        tasks = tasks_sharing(workload, machine, decisions["threads"])
        for region in parts:
            o, n, i, j = schedule.get_loops(schedule.get_sblock(_tile_name(region)))
            share_loops(schedule, outer=[o, n, i, j], near=[n, i], tasks=tasks)
        shape = f"{taps}x{blocks * lanes}x{pixels}_t{tile.rows}x{tile.columns}"
        return kernel_of(KIND, shape, workload, decisions, schedule.mod["main"], parameters)


def _tile_of(workload: Depthwise, decisions: Decisions, machine: MachineParameters) -> DepthwiseTile:
    """Raises ScheduleError unless the tile's accumulators fit the registers."""
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
