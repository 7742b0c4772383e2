"""Window and global pooling over blocked channels: maxima and sums, lane by lane.

Window:  y[yo[o] + yp[n, h, w] + v] = epilogue(reduce_{i,j} x[xo[o] + xn[n] + row[h, i] + col[w, j] + v])
Global:  y[yo[o] + yp[n] + v] = epilogue(scale * reduce_p x[xo[o] + xn[n] + xp[p] + v])

For an average, the window's terms carry `row_weight[h, i] * col_weight[w, j]`, the global sum is divided
by the number of pixels. A global pool keeps several output blocks at once, because a chain of dependent
additions alone would wait for each result.

Decisions:
    tile:     output columns (window) or blocks (global) accumulated together.
    unroll:   taps of a window row, or pixels of the plane, in the loop body.
    threads:  how many share the work, if it pays for handing it over.
"""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.register_blocking import accumulate_in_registers
from schedules.template import Decisions, Kernel, kernel_name, largest_divisor, tiles
from schedules.workload import GlobalPool, WindowPool, Workload

Expr = Any
Run = tuple[int, int, int]

_COLUMN_TILE = 4


def _identity(kind: str) -> Expr:
    return tirx.FloatImm("float32", -math.inf if kind == "max" else 0.0)


def _combine(kind: str, accumulator: Expr, value: Expr) -> Expr:
    return tirx.max(accumulator, value) if kind == "max" else accumulator + value


def _emit_window(workload: WindowPool, index: int, run: Run, buffers: Buffers) -> None:
    first, columns, _ = run
    shape = (workload.blocks, workload.batch, workload.rows, columns, workload.lanes)
    taps = (workload.row_taps, workload.column_taps)
    accumulator = T.sblock_alloc_buffer(shape, "float32")
    with T.grid(*shape, *taps) as loops, T.sblock(f"reduce_{index}"):
        o, n, h, w, v, i, j = T.axis.remap("SSSSSRR", list(loops))
        with T.init():
            T.buffer_store(accumulator, _identity(workload.kind), [o, n, h, w, v])
        row, column = h * workload.row_taps + i, (w + first) * workload.column_taps + j
        plane = (buffers["xo"][o], buffers["xn"][n])
        x = buffers["x"][address(*plane, buffers["row"][row], buffers["col"][column], v)]
        if workload.kind == "avg":
            x = x * (buffers["row_weight"][row] * buffers["col_weight"][column])
        value = _combine(workload.kind, accumulator[o, n, h, w, v], x)
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

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if not isinstance(workload, WindowPool):
            return "not a window pool"
        if workload.dtype != "float32":
            return f"dtype {workload.dtype}, only float32 is scheduled"
        return epilogue.refusal(workload.epilogue)

    def defaults(self, workload: WindowPool, machine: MachineParameters, threads: int) -> Decisions:
        return {
            "tile": min(_COLUMN_TILE, workload.columns),
            "unroll": largest_divisor(workload.column_taps, 4),
            "threads": threads,
        }

    def schedule(self, workload: WindowPool, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, batch = workload.blocks, workload.lanes, workload.batch
        pixels = batch * workload.rows * workload.columns
        row_taps, column_taps = workload.rows * workload.row_taps, workload.columns * workload.column_taps
        average = workload.kind == "avg"
        weights = {"row_weight": ("float32", row_taps), "col_weight": ("float32", column_taps)}
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xn": ("int32", batch),
            "row": ("int32", row_taps),
            "col": ("int32", column_taps),
            **(weights if average else {}),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }
        runs = tiles(workload.columns, decisions["tile"])

        def body(buffers: Buffers) -> None:
            for index, run in enumerate(runs):
                _emit_window(workload, index, run, buffers)

        schedule = Schedule(emit(parameters, body))
        for index, (_, count, tile) in enumerate(runs):
            taps = workload.row_taps * workload.column_taps
            cycles = blocks * lanes * batch * workload.rows * count * taps / machine.lanes
            o, n, h, w, _ = schedule.get_loops(schedule.get_sblock(f"store_{index}"))
            w_outer, w_inner = schedule.split(w, [None, tile])
            accumulate_in_registers(
                schedule,
                f"reduce_{index}",
                f"store_{index}",
                outer=[o, n, h, w_outer],
                tile=[w_inner],
                unroll=[1, decisions["unroll"]],
                parallel=worth_threads(cycles, decisions["threads"]),
            )
        shape = f"{workload.kind}_{workload.row_taps}x{workload.column_taps}x{blocks * lanes}x{pixels}"
        return Kernel(
            name=kernel_name(self.kind, shape, workload, decisions, epilogue.tag(workload.epilogue)),
            kind=self.kind,
            workload=workload,
            func=schedule.mod["main"],
            parameters=tuple(parameters),
            decisions=decisions,
            padded_pixels=pixels,
        )


def _emit_global(workload: GlobalPool, index: int, run: Run, buffers: Buffers) -> None:
    first, blocks, _ = run
    shape = (workload.batch, blocks, workload.lanes)
    accumulator = T.sblock_alloc_buffer(shape, "float32")
    with T.grid(*shape, workload.pixels) as loops, T.sblock(f"reduce_{index}"):
        n, o, v, p = T.axis.remap("SSSR", list(loops))
        with T.init():
            T.buffer_store(accumulator, _identity(workload.kind), [n, o, v])
        plane = (buffers["xo"][o + first], buffers["xn"][n])
        x = buffers["x"][address(*plane, buffers["xp"][p], v)]
        T.buffer_store(accumulator, _combine(workload.kind, accumulator[n, o, v], x), [n, o, v])
    with T.grid(*shape) as loops, T.sblock(f"store_{index}"):
        n, o, v = T.axis.remap("SSS", list(loops))
        at = epilogue.Position(o + first, n, v, workload.lanes)
        value = accumulator[n, o, v]
        if workload.kind == "avg":
            value = value * tirx.FloatImm("float32", 1.0 / workload.pixels)
        value = epilogue.apply(workload.epilogue, value, buffers, at)
        T.buffer_store(buffers["y"], value, [address(buffers["yo"][at.block], buffers["yp"][n], v)])


class GlobalPoolTemplate:
    """See the module's docstring."""

    kind = "global_pool"

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if not isinstance(workload, GlobalPool):
            return "not a global pool"
        if workload.dtype != "float32":
            return f"dtype {workload.dtype}, only float32 is scheduled"
        return epilogue.refusal(workload.epilogue)

    def defaults(self, workload: GlobalPool, machine: MachineParameters, threads: int) -> Decisions:
        vectors = max(1, workload.lanes // machine.lanes)
        return {
            "tile": min(8 // min(vectors, 8), workload.blocks),
            "unroll": largest_divisor(workload.pixels, 4),
            "threads": threads,
        }

    def schedule(self, workload: GlobalPool, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, batch = workload.blocks, workload.lanes, workload.batch
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xn": ("int32", batch),
            "xp": ("int32", workload.pixels),
            "yo": ("int32", blocks),
            "yp": ("int32", batch),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, batch),
        }
        runs = tiles(blocks, decisions["tile"])

        def body(buffers: Buffers) -> None:
            for index, run in enumerate(runs):
                _emit_global(workload, index, run, buffers)

        schedule = Schedule(emit(parameters, body))
        for index, (_, count, tile) in enumerate(runs):
            cycles = count * lanes * batch * workload.pixels / machine.lanes
            n, o, _ = schedule.get_loops(schedule.get_sblock(f"store_{index}"))
            o_outer, o_inner = schedule.split(o, [None, tile])
            accumulate_in_registers(
                schedule,
                f"reduce_{index}",
                f"store_{index}",
                outer=[n, o_outer],
                tile=[o_inner],
                unroll=[decisions["unroll"]],
                parallel=worth_threads(cycles, decisions["threads"]),
            )
        shape = f"{workload.kind}_{workload.pixels}x{blocks * lanes}x{batch}"
        return Kernel(
            name=kernel_name(self.kind, shape, workload, decisions, epilogue.tag(workload.epilogue)),
            kind=self.kind,
            workload=workload,
            func=schedule.mod["main"],
            parameters=tuple(parameters),
            decisions=decisions,
            padded_pixels=batch,
        )
