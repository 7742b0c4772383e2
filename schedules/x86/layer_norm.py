"""Normalization over the channels of every pixel, in the blocked layout.

    y = epilogue((x - mean) / sqrt(variance + epsilon)),  mean and variance over the channels of a pixel

(Ba, Kiros & Hinton, "Layer Normalization", 2016; without the mean: Zhang & Sennrich, "Root Mean Square
Layer Normalization", 2019.) The blocks of a tile of pixels are read three times, from the first cache
after the first: for a mean m, for the moments around it, and to be written. Rounding of m is corrected:

    c = mean(x - m),  variance = mean((x - m)²) - c²,  y = ((x - m) - c) / sqrt(variance + epsilon)

(Chan, Golub & LeVeque, "Algorithms for computing the sample variance", 1983.)

Decisions:
    pixel_tile: pixels whose sums are kept in registers together.
    threads:    how many share the tiles, if the work pays for handing it over.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.activation import bound, constant
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.template import Decisions, Kernel, kernel_of, tiles
from schedules.workload import LayerNorm, Workload
from schedules.x86.lane_reduction import add, fill, outer_loop, reduce_lanes, where_used

KIND = "layer_norm"
_CYCLES_PER_VECTOR = 6
"""Three loads, a store and their arithmetic, from the first caches."""


def _emit_tile(workload: LayerNorm, buffers: Buffers, first: Any, tile: int) -> None:
    blocks, lanes = workload.blocks, workload.lanes
    share = constant(1.0 / workload.channels)
    sums, squares = (T.sblock_alloc_buffer((tile, lanes), "float32", scope="local") for _ in range(2))
    mean, scale, offset = (T.sblock_alloc_buffer((tile,), "float32", scope="local") for _ in range(3))

    def deviation(o: Any, p: Any, v: Any) -> Any:
        x = buffers["x"][address(buffers["xo"][o], buffers["xp"][first + p], v)]
        return x - mean[p] if workload.centered else x

    def used(o: Any, v: Any) -> Any:
        return buffers["used"][o * lanes + v] if workload.channels < blocks * lanes else None

    if workload.centered:
        fill(sums, tile, lanes)
        with T.serial(blocks) as o, T.unroll(tile) as p, T.vectorized(lanes) as v:
            x = buffers["x"][address(buffers["xo"][o], buffers["xp"][first + p], v)]
            T.buffer_store(sums, sums[p, v] + where_used(used(o, v), x), [p, v])
        with T.unroll(tile) as p:
            T.buffer_store(mean, reduce_lanes(add, sums, p, lanes) * share, [p])
    fill(sums, tile, lanes)
    fill(squares, tile, lanes)
    with T.serial(blocks) as o, T.unroll(tile) as p, T.vectorized(lanes) as v:
        value = where_used(used(o, v), deviation(o, p, v))
        if workload.centered:
            T.buffer_store(sums, sums[p, v] + value, [p, v])
        T.buffer_store(squares, squares[p, v] + bound(value, lambda d: d * d), [p, v])
    with T.unroll(tile) as p:
        correction = reduce_lanes(add, sums, p, lanes) * share
        variance = reduce_lanes(add, squares, p, lanes) * share - bound(correction, lambda c: c * c)
        variance = tirx.max(variance, constant(0.0)) + constant(workload.epsilon)
        T.buffer_store(scale, constant(1.0) / tirx.sqrt(variance), [p])
        T.buffer_store(offset, constant(0.0) - correction * scale[p], [p])
    with T.serial(blocks) as o, T.unroll(tile) as p, T.vectorized(lanes) as v:
        value = deviation(o, p, v) * scale[p]
        if workload.centered:
            value = value + offset[p]
        at = epilogue.Position(o, first + p, v, lanes)
        value = epilogue.apply(workload.epilogue, value, buffers, at)
        y = address(buffers["yo"][o], buffers["yp"][at.pixel], v)
        T.buffer_store(buffers["y"], value, [y])


class LayerNormTemplate:
    """See the module's docstring."""

    kind = KIND

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, LayerNorm, "a normalization over channels")

    def defaults(self, workload: LayerNorm, machine: MachineParameters, threads: int) -> Decisions:
        vectors = max(1, workload.lanes // machine.lanes)
        return {
            "pixel_tile": max(1, min(machine.vector_registers // (4 * vectors), workload.pixels)),
            "threads": threads,
        }

    def schedule(self, workload: LayerNorm, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
        parameters = {
            "x": ("float32", UNBOUNDED),
            "xo": ("int32", blocks),
            "xp": ("int32", pixels),
            "used": ("float32", blocks * lanes),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }

        def body(buffers: Buffers) -> None:
            for start, count, tile in tiles(pixels, decisions["pixel_tile"]):
                cycles = blocks * lanes * count * _CYCLES_PER_VECTOR / machine.lanes
                with outer_loop(count // tile, worth_threads(cycles, decisions["threads"])) as i:
                    _emit_tile(workload, buffers, start + i * tile, tile)

        func = Schedule(emit(parameters, body)).mod["main"]
        shape = f"{workload.channels}x{pixels}"
        return kernel_of(KIND, shape, workload, decisions, func, parameters)
