"""Depthwise convolution over blocked channels: every lane is a channel, every tap a constant offset.

    y[yo[o] + yp[p] + v] = epilogue(sum_t x[xo[o] + xp[p] + taps[t] + v] * k[o, t, v])

A tile of pixels is accumulated in registers; the taps are unrolled, so their offsets become constant
displacements and the block's weights stay in registers where they fit.

Decisions:
    pixel_tile: pixels accumulated together.
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
from schedules.parallelism import tasks_for
from schedules.register_blocking import accumulate_in_registers
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of, tiles
from schedules.workload import Depthwise, Workload

KIND = "depthwise"
_LARGEST_TILE = 6


def pack_weights(workload: Depthwise, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[blocks * lanes, taps] → [block][tap][lane], flat."""
    expected = (workload.blocks * workload.lanes, len(workload.taps))
    if weights.shape != expected:
        raise ScheduleError(f"weights of shape {weights.shape} for a depthwise convolution of {expected}")
    blocked = weights.reshape(workload.blocks, workload.lanes, len(workload.taps)).transpose(0, 2, 1)
    return np.ascontiguousarray(blocked, dtype=np.float32).ravel()


def _tap_offset(taps: tuple[int, ...], tap: Any) -> Any:
    """`taps[tap]` as an expression that becomes a constant when the loop over taps is unrolled."""
    offset = tirx.IntImm("int64", taps[0])
    for index, value in enumerate(taps[1:], 1):
        offset = tirx.Select(tirx.EQ(tap, tirx.IntImm("int32", index)), tirx.IntImm("int64", value), offset)
    return offset


def _emit_run(workload: Depthwise, index: int, run: tuple[int, int, int], buffers: Buffers) -> None:
    first, pixels, _ = run
    blocks, lanes, taps = workload.blocks, workload.lanes, len(workload.taps)
    accumulator = T.sblock_alloc_buffer((blocks, pixels, lanes), "float32")
    with T.grid(blocks, pixels, lanes, taps) as loops, T.sblock(f"multiply_add_{index}"):
        o, p, v, t = T.axis.remap("SSSR", list(loops))
        with T.init():
            start = epilogue.initial_value(workload.epilogue, buffers, o, v, lanes)
            T.buffer_store(accumulator, start, [o, p, v])
        plane, pixel = buffers["xo"][o], buffers["xp"][p + first]
        x = buffers["x"][address(plane, pixel, _tap_offset(workload.taps, t), v)]
        k = buffers["k"][(o * taps + t) * lanes + v]
        T.buffer_store(accumulator, accumulator[o, p, v] + x * k, [o, p, v])
    with T.grid(blocks, pixels, lanes) as loops, T.sblock(f"store_{index}"):
        o, p, v = T.axis.remap("SSS", list(loops))
        at = epilogue.Position(o, p + first, v, lanes)
        value = epilogue.finish_sum(workload.epilogue, accumulator[o, p, v], buffers, at)
        T.buffer_store(buffers["y"], value, [address(buffers["yo"][o], buffers["yp"][at.pixel], v)])


class DepthwiseTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, Depthwise, "a depthwise convolution")

    def defaults(self, workload: Depthwise, machine: MachineParameters, threads: int) -> Decisions:
        registers = machine.vector_registers * machine.lanes // max(workload.lanes, machine.lanes)
        return {
            "pixel_tile": min(_LARGEST_TILE, registers // 2, workload.pixels),
            "threads": threads,
        }

    def candidates(
        self, workload: Depthwise, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        vectors = max(1, workload.lanes // machine.lanes)
        largest = min(workload.pixels, (machine.vector_registers - 1) // vectors)
        return {
            "pixel_tile": tuple(range(1, max(1, largest) + 1)),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: Depthwise, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
        taps = len(workload.taps)
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xp": ("int32", pixels),
            "k": ("float32", blocks * taps * lanes),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }
        runs = tiles(pixels, decisions["pixel_tile"])

        def body(buffers: Buffers) -> None:
            for index, run in enumerate(runs):
                _emit_run(workload, index, run, buffers)

        schedule = Schedule(emit(parameters, body))
        tasks = tasks_for(blocks * lanes * pixels * taps / machine.lanes, decisions["threads"])
        for index, (_, _, tile) in enumerate(runs):
            o, p, _ = schedule.get_loops(schedule.get_sblock(f"store_{index}"))
            p_outer, p_inner = schedule.split(p, [None, tile])
            accumulate_in_registers(
                schedule,
                f"multiply_add_{index}",
                f"store_{index}",
                outer=[o, p_outer],
                tile=[p_inner],
                unroll=[taps],
                tasks=tasks,
                near=[p_outer],
            )
        shape = f"{taps}x{blocks * lanes}x{pixels}_t{decisions['pixel_tile']}"
        return kernel_of(KIND, shape, workload, decisions, schedule.mod["main"], parameters)
