"""Pooling of whole planes over blocked channels, lane by lane.

    y[yo[o] + yp[n] + v] = epilogue(scale * reduce_p x[xo[o] + xn[n] + xp[p] + v])

An average is scaled by 1 / pixels. Several output blocks are summed at once: a single chain of
dependent additions would wait for each result.

Decisions:
    tile:    blocks accumulated together.
    unroll:  pixels of the plane in the loop body.
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
from schedules.workload import GlobalPool, Workload
from schedules.x86.pooling import combine, identity

Run = tuple[int, int, int]

_LARGEST_UNROLL = 16


def _emit_global(workload: GlobalPool, index: int, run: Run, buffers: Buffers) -> None:
    first, blocks, _ = run
    shape = (workload.batch, blocks, workload.lanes)
    accumulator = T.sblock_alloc_buffer(shape, "float32")
    with T.grid(*shape, workload.pixels) as loops, T.sblock(f"reduce_{index}"):
        n, o, v, p = T.axis.remap("SSSR", list(loops))
        with T.init():
            T.buffer_store(accumulator, identity(workload.kind), [n, o, v])
        plane = (buffers["xo"][o + first], buffers["xn"][n])
        x = buffers["x"][address(*plane, buffers["xp"][p], v)]
        T.buffer_store(accumulator, combine(workload.kind, accumulator[n, o, v], x), [n, o, v])
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
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, GlobalPool, "a global pool")

    def defaults(self, workload: GlobalPool, machine: MachineParameters, threads: int) -> Decisions:
        vectors = max(1, workload.lanes // machine.lanes)
        return {
            "tile": min(8 // min(vectors, 8), workload.blocks),
            "unroll": largest_divisor(workload.pixels, 4),
            "threads": threads,
        }

    def candidates(
        self, workload: GlobalPool, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        vectors = max(1, workload.lanes // machine.lanes)
        largest = min(workload.blocks, (machine.vector_registers - 1) // vectors)
        return {
            "tile": tuple(range(1, max(1, largest) + 1)),
            "unroll": divisors(workload.pixels, _LARGEST_UNROLL),
            "threads": tuple(sorted({1, threads})),
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

        def scheduled() -> tirx.PrimFunc:
            schedule = Schedule(emit(parameters, body))
            cycles = blocks * lanes * batch * workload.pixels / machine.lanes
            tasks = tasks_for(cycles, decisions["threads"])
            for index, (_, _, tile) in enumerate(runs):
                n, o, _ = schedule.get_loops(schedule.get_sblock(f"store_{index}"))
                o_outer, o_inner = schedule.split(o, [None, tile])
                accumulate_in_registers(
                    schedule,
                    f"reduce_{index}",
                    f"store_{index}",
                    outer=[n, o_outer],
                    tile=[o_inner],
                    unroll=[decisions["unroll"]],
                    tasks=tasks,
                )
            return schedule.mod["main"]

        shape = f"{workload.kind}_{workload.pixels}x{blocks * lanes}x{batch}"
        return kernel_of(self.kind, shape, workload, decisions, scheduled, parameters)
