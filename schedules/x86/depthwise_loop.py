"""Depthwise convolution with a large kernel: a loop over taps, whose code does not grow with their number.

    y[yo[o] + yp[n, h, w] + v] = epilogue(sum_t x[xo[o] + xn[n] + p(h, w) + taps[t] + v] * k[o, t, v])

with `p(h, w) = h * row_step + w * column_step`. The taps are lines of equal steps: rows of the kernel. A
tile, a rectangle of output pixels, is accumulated in registers while loops walk over the lines and, within a
line, over pieces of a few taps. The code of a piece is written out: pixels that read the same vector of x,
with different taps of the piece, share its load.

Decisions:
    row_tile, column_tile: the tile; what does not fill one is computed with a smaller one.
    piece:      taps of a line that are written out together; what a line has left over is a shorter piece.
    threads:    how many share the tiles, if the work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

from schedules.applicability import refusal
from schedules.emit import Buffers, address
from schedules.machine import MachineParameters
from schedules.template import Decisions, Kernel, ScheduleError
from schedules.workload import Depthwise, Workload
from schedules.x86.depthwise_lines import DepthwiseLoop, Lines, cheapest_loop, lines_of, loops_that_fit
from schedules.x86.depthwise_plane import Products, TileAt, schedule_tiles, tile_of, times

KIND = "depthwise_loop"

Expr = Any


def _products(lines: Lines, piece: int) -> Products:
    def emit(at: TileAt, buffers: Buffers, sums: Any) -> None:
        whole, left = divmod(lines.taps, piece)
        with T.serial(0, lines.count) as line:
            with T.serial(0, whole) as number:
                _piece(lines, line, number * piece, piece, at, buffers, sums)
            if left:
                _piece(lines, line, tirx.IntImm("int32", whole * piece), left, at, buffers, sums)

    return emit


def _piece(lines: Lines, line: Expr, first: Expr, taps: int, at: TileAt, buffers: Buffers, sums: Any) -> None:
    """Products of so many taps of a line, from `first` on, with all pixels of the tile."""
    lanes = at.workload.lanes
    start = (
        *at.start(buffers),
        times(line, lines.line_step),
        times(first, lines.tap_step),
        lines.start,
    )
    tap = (at.block * lines.count + line) * lines.taps + first
    for displacement, uses in lines.reads(at.workload, at.tile, taps):
        for row, column, further in uses:
            with T.vectorized(lanes) as v:
                x = buffers["x"][address(*start, displacement, v)]
                k = buffers["k"][(tap + further) * lanes + v]
                T.buffer_store(sums, sums[row, column, v] + x * k, [row, column, v])


class DepthwiseLoopTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        reason = refusal(workload, Depthwise, "a depthwise convolution")
        if reason is None and isinstance(workload, Depthwise):
            lines = lines_of(workload.taps)
            reason = lines if isinstance(lines, str) else None
        return reason

    def defaults(self, workload: Depthwise, machine: MachineParameters, threads: int) -> Decisions:
        chosen = cheapest_loop(workload, machine, threads)
        return {
            "row_tile": chosen.tile.rows,
            "column_tile": chosen.tile.columns,
            "piece": chosen.piece,
            "threads": threads,
        }

    def candidates(
        self, workload: Depthwise, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        fitting = list(loops_that_fit(workload, machine))

        def values(of: Callable[[DepthwiseLoop], int]) -> tuple[int, ...]:
            return tuple(sorted(set(map(of, fitting))))

        return {
            "row_tile": values(lambda loop: loop.tile.rows),
            "column_tile": values(lambda loop: loop.tile.columns),
            "piece": values(lambda loop: loop.piece),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: Depthwise, decisions: Decisions, machine: MachineParameters) -> Kernel:
        lines = lines_of(workload.taps)
        if isinstance(lines, str):
            raise ScheduleError(lines)
        tile = tile_of(workload, decisions, machine)
        products = _products(lines, min(decisions["piece"], lines.taps))
        return schedule_tiles(KIND, workload, tile, decisions, machine, products)
