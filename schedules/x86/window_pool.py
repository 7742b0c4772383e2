"""Maxima over windows of blocked channels, lane by lane.

    y[yo[o] + yp[n, h, w] + v] = epilogue(max_{i,j} x[xo[o] + xn[n] + row[h, i] + col[w, j] + v])

Decisions:
    tile:    output columns accumulated together.
    unroll:  taps of a window's row in the loop body.
    threads: how many share the work, if it pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Mapping

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import tasks_for
from schedules.register_blocking import accumulate_in_registers
from schedules.template import Decisions, Kernel, divisors, kernel_of, largest_divisor, tiles
from schedules.workload import WindowPool, Workload
from schedules.x86.pooling import combine, identity

Run = tuple[int, int, int]

_COLUMN_TILE = 4


def _emit_window(workload: WindowPool, index: int, run: Run, buffers: Buffers) -> None:
    first, columns, _ = run
    shape = (workload.blocks, workload.batch, workload.rows, columns, workload.lanes)
    taps = (workload.row_taps, workload.column_taps)
    accumulator = T.sblock_alloc_buffer(shape, "float32")
    with T.grid(*shape, *taps) as loops, T.sblock(f"reduce_{index}"):
        o, n, h, w, v, i, j = T.axis.remap("SSSSSRR", list(loops))
        with T.init():
            T.buffer_store(accumulator, identity("max"), [o, n, h, w, v])
        row, column = h * workload.row_taps + i, (w + first) * workload.column_taps + j
        plane = (buffers["xo"][o], buffers["xn"][n])
        x = buffers["x"][address(*plane, buffers["row"][row], buffers["col"][column], v)]
        value = combine("max", accumulator[o, n, h, w, v], x)
        T.buffer_store(accumulator, value, [o, n, h, w, v])
    with T.grid(*shape) as loops, T.sblock(f"store_{index}"):
        o, n, h, w, v = T.axis.remap("SSSSS", list(loops))
        pixel = (n * workload.rows + h) * workload.columns + w + first
        at = epilogue.Position(o, pixel, v, workload.lanes)
        value = epilogue.apply(workload.epilogue, accumulator[o, n, h, w, v], buffers, at)
        T.buffer_store(buffers["y"], value, [address(buffers["yo"][o], buffers["yp"][pixel], v)])


class WindowPoolTemplate:
    """See the module's docstring."""

    kind = "window_pool"
    version = 2

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, WindowPool, "a window pool")

    def defaults(self, workload: WindowPool, machine: MachineParameters, threads: int) -> Decisions:
        return {
            "tile": min(_COLUMN_TILE, workload.columns),
            "unroll": largest_divisor(workload.column_taps, 4),
            "threads": threads,
        }

    def candidates(
        self, workload: WindowPool, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        vectors = max(1, workload.lanes // machine.lanes)
        largest = min(workload.columns, (machine.vector_registers - 1) // vectors)
        return {
            "tile": tuple(range(1, max(1, largest) + 1)),
            "unroll": divisors(workload.column_taps, workload.column_taps),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: WindowPool, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, batch = workload.blocks, workload.lanes, workload.batch
        pixels = batch * workload.rows * workload.columns
        row_taps, column_taps = workload.rows * workload.row_taps, workload.columns * workload.column_taps
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xn": ("int32", batch),
            "row": ("int32", row_taps),
            "col": ("int32", column_taps),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }
        runs = tiles(workload.columns, decisions["tile"])

        def body(buffers: Buffers) -> None:
            for index, run in enumerate(runs):
                _emit_window(workload, index, run, buffers)

        def scheduled() -> tirx.PrimFunc:
            schedule = Schedule(emit(parameters, body))
            taps = workload.row_taps * workload.column_taps
            tasks = tasks_for(blocks * lanes * pixels * taps / machine.lanes, decisions["threads"])
            for index, (_, _, tile) in enumerate(runs):
                o, n, h, w, _ = schedule.get_loops(schedule.get_sblock(f"store_{index}"))
                w_outer, w_inner = schedule.split(w, [None, tile])
                accumulate_in_registers(
                    schedule,
                    f"reduce_{index}",
                    f"store_{index}",
                    outer=[o, n, h, w_outer],
                    tile=[w_inner],
                    unroll=[1, decisions["unroll"]],
                    tasks=tasks,
                    near=[n, h],
                )
            return schedule.mod["main"]

        shape = f"{workload.row_taps}x{workload.column_taps}x{blocks * lanes}x{pixels}"
        return kernel_of(self.kind, shape, workload, decisions, scheduled, parameters)
