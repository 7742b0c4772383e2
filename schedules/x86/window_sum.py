"""Weighted sums over windows of blocked channels, lane by lane: averages, interpolation.

    s[h, c, v] = sum_i row_weight[h, i] * x[xo[o] + xn[n] + row[h, i] + c * column_step + v]
    y[yo[o] + yp[n, h, w] + v] = epilogue(sum_j col_weight[w, j] * s[h, col[w, j], v])

A row of the result takes its rows of x together first, column by column, and then these sums: windows that
overlap share them, and a window of k x l taps costs k + l multiply-adds, or fewer where it enlarges.

Decisions:
    tile:    columns computed together.
    threads: how many share the rows, if it pays for handing them over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
from tvm import tirx
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.template import Decisions, Kernel, kernel_of, tiles
from schedules.workload import WindowSum, Workload
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.registers import Vectors

KIND = "window_sum"

Expr = Any

_COLUMN_TILE = 4
_WRITTEN_OUT = 8
"""Taps up to which a sum is one expression; longer ones run in a loop."""


@attrs.frozen(eq=False)
class _Row:
    """Row `h` of batch element `n` and output block `o`."""

    workload: WindowSum
    buffers: Buffers
    o: Expr
    n: Expr
    h: Expr

    def emit(self, tile: int) -> None:
        """Its sums over rows, then the result."""
        workload, sums = self.workload, Vectors(self.workload.read_columns, self.workload.lanes)
        for start, count, size in tiles(workload.read_columns, tile):
            with T.serial(count // size) as chunk:
                self._sum(start + chunk * size, size, workload.row_taps, self._of_rows, sums.store)
        for start, count, size in tiles(workload.columns, tile):
            with T.serial(count // size) as chunk:
                term = partial(self._of_columns, sums)
                self._sum(start + chunk * size, size, workload.column_taps, term, self._store)

    def _of_rows(self, column: Expr, tap: Expr, v: Expr) -> Expr:
        buffers, row = self.buffers, self.h * self.workload.row_taps + tap
        across = tirx.Cast("int64", column) * tirx.IntImm("int64", self.workload.column_step)
        at = address(buffers["xo"][self.o], buffers["xn"][self.n], buffers["row"][row], across, v)
        return buffers["x"][at] * buffers["row_weight"][row]

    def _of_columns(self, sums: Vectors, column: Expr, tap: Expr, v: Expr) -> Expr:
        at = column * self.workload.column_taps + tap
        return sums[self.buffers["col"][at], v] * self.buffers["col_weight"][at]

    def _store(self, column: Expr, v: Expr, value: Expr) -> None:
        workload, buffers = self.workload, self.buffers
        pixel = (self.n * workload.rows + self.h) * workload.columns + column
        at = epilogue.Position(self.o, pixel, v, workload.lanes)
        value = epilogue.apply(workload.epilogue, value, buffers, at)
        T.buffer_store(buffers["y"], value, [address(buffers["yo"][self.o], buffers["yp"][pixel], v)])

    def _sum(
        self,
        first: Expr,
        size: int,
        taps: int,
        term: Callable[[Expr, Expr, Expr], Expr],
        store: Callable[[Expr, Expr, Expr], None],
    ) -> None:
        """`store(c, v, sum_t term(c, t, v))` for the `size` columns c from `first` on and all lanes v."""
        lanes = self.workload.lanes
        if taps <= _WRITTEN_OUT:
            with T.unroll(size) as p, T.vectorized(lanes) as v:
                value = term(first + p, 0, v)
                for tap in range(1, taps):
                    value = value + term(first + p, tap, v)
                store(first + p, v, value)
            return
        vectors = Vectors(size, lanes)
        with T.unroll(size) as p, T.vectorized(lanes) as v:
            vectors.store(p, v, term(first + p, 0, v) + term(first + p, 1, v))
        with T.serial(taps - 2) as tap, T.unroll(size) as p, T.vectorized(lanes) as v:
            vectors.store(p, v, vectors[p, v] + term(first + p, tap + 2, v))
        with T.unroll(size) as p, T.vectorized(lanes) as v:
            store(first + p, v, vectors[p, v])


class WindowSumTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, WindowSum, "a sum over windows")

    def defaults(self, workload: WindowSum, machine: MachineParameters, threads: int) -> Decisions:
        return {"tile": min(_COLUMN_TILE, workload.columns), "threads": threads}

    def candidates(
        self, workload: WindowSum, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        vectors = max(1, workload.lanes // machine.lanes)
        largest = min(workload.columns, (machine.vector_registers - 1) // vectors)
        return {"tile": tuple(range(1, max(1, largest) + 1)), "threads": tuple(sorted({1, threads}))}

    def schedule(self, workload: WindowSum, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, batch = workload.blocks, workload.lanes, workload.batch
        pixels = batch * workload.rows * workload.columns
        row_taps, column_taps = workload.rows * workload.row_taps, workload.columns * workload.column_taps
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xn": ("int32", batch),
            "row": ("int32", row_taps),
            "row_weight": ("float32", row_taps),
            "col": ("int32", column_taps),
            "col_weight": ("float32", column_taps),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }
        taps = workload.row_taps * workload.read_columns + workload.column_taps * workload.columns
        cycles = blocks * batch * workload.rows * taps * lanes / machine.lanes

        def body(buffers: Buffers) -> None:
            planes = batch * workload.rows
            with outer_loop(blocks * planes, worth_threads(cycles, decisions["threads"])) as number:
                o, rest = number // planes, number % planes
                row = _Row(workload, buffers, o, rest // workload.rows, rest % workload.rows)
                row.emit(decisions["tile"])

        shape = f"{workload.row_taps}x{workload.column_taps}x{blocks * lanes}x{pixels}"
        return kernel_of(self.kind, shape, workload, decisions, lambda: emit(parameters, body), parameters)
