"""Depthwise convolution over blocked channels: every lane is a channel, every tap a constant displacement.

    y[yo[o] + yp[n, h, w] + v] = epilogue(sum_t x[xo[o] + xn[n] + p(h, w) + taps[t] + v] * k[o, t, v])

with `p(h, w) = h * row_step + w * column_step`. A tile, a rectangle of output pixels, is accumulated in
registers. Its code walks the vectors of x that the tile reads: each is loaded once and goes into all sums
that take it, while the weights stay in registers as far as they fit. So loads do not compete with
multiply-adds, as one load for each of them would. The code grows with the number of taps: large kernels are
`depthwise_loop`'s.

Nothing is fetched ahead: a tile reads a few rows, which are streams that the processor follows by itself.

Decisions:
    row_tile, column_tile: the tile; what does not fill one is computed with a smaller one.
    threads:    how many share the tiles, if the work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm.tirx.script import builder as T

from schedules.applicability import refusal
from schedules.emit import Buffers, address
from schedules.machine import MachineParameters
from schedules.template import Decisions, Kernel
from schedules.workload import Depthwise, Workload
from schedules.x86.depthwise_lines import lines_of
from schedules.x86.depthwise_plane import TileAt, schedule_tiles, tile_of
from schedules.x86.depthwise_tile import cheapest_tile, tiles_that_fit

KIND = "depthwise"

_MOST_TAPS = 25
"""That are written out, if they can be walked through as lines instead."""


def _products(at: TileAt, buffers: Buffers, sums: Any) -> None:
    workload, lanes = at.workload, at.workload.lanes
    first, taps = at.start(buffers), len(workload.taps)
    for displacement, uses in at.tile.reads(workload):
        for row, column, tap in uses:
            with T.vectorized(lanes) as v:
                x = buffers["x"][address(*first, displacement, v)]
                k = buffers["k"][(at.block * taps + tap) * lanes + v]
                T.buffer_store(sums, sums[row, column, v] + x * k, [row, column, v])


class DepthwiseTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 2

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        reason = refusal(workload, Depthwise, "a depthwise convolution")
        if reason is None and isinstance(workload, Depthwise) and len(workload.taps) > _MOST_TAPS:
            lines = lines_of(workload.taps)
            reason = (
                None if isinstance(lines, str) else f"{len(workload.taps)} taps are too many to write out"
            )
        return reason

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
        tile = tile_of(workload, decisions, machine)
        return schedule_tiles(KIND, workload, tile, decisions, machine, _products)
