"""The indexed convolution: every dense or grouped convolution and GEMM.

    y[yo[o] + yp[p] + v] = epilogue(sum_c x[ct[t(o), c] + pt[p]] * k[o, c, v])

A tile of `pixel_tile` pixels by `block_tile` output blocks is kept in vector registers during the
whole reduction. A step of the reduction loads one weight vector per block and multiplies each by one
scalar of x per pixel, broadcast from memory as the multiply-add's own operand. A tile is a list of
pixels, not a rectangle: it may straddle rows and images, so small planes waste nothing.

Decisions:
    pixel_tile, block_tile: the register tile; what does not fill one is computed with a smaller one.
    unroll:       steps of the reduction in the loop body; divides its length.
    panel:        how many block tiles share a sweep over the pixels. Their weights stay in the second
                  cache, and the tile of x stays in the first cache while it meets all of them.
    x_tiles:      tiles of pixels on their way from memory, the one that is summed among them: what lies
                  beyond the second cache is fetched `x_tiles - 1` tiles ahead.
    threads:      how many share the tiles of a region, if its work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import tasks_for
from schedules.prefetch import begin_with
from schedules.register_blocking import accumulate_in_registers
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of, largest_divisor, tiles
from schedules.workload import IndexedConv, Workload
from schedules.x86.pixels_ahead import Sweep, chunk_rounds, pixels_ahead
from schedules.x86.register_tile import candidate_decisions, check_tile, default_decisions, weights_stay

KIND = "indexed_conv"


@attrs.frozen
class Region:
    """A part of the output cut into equal tiles: `blocks` and `pixels` are (start, count, tile)."""

    index: int
    blocks: tuple[int, int, int]
    pixels: tuple[int, int, int]


def regions(workload: IndexedConv, decisions: Decisions) -> Iterator[Region]:
    """At most four: whole tiles, and the remainders below and beside them."""
    index = 0
    for blocks in tiles(workload.blocks, decisions["block_tile"]):
        for pixels in tiles(workload.pixels, decisions["pixel_tile"]):
            yield Region(index, blocks, pixels)
            index += 1


def pack_weights(
    workload: IndexedConv, decisions: Decisions, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """[blocks * lanes, virtual channels] → the order the kernel reads: [tile][channel][block in tile][lane].

    For a grouped convolution the virtual channels are those of the block's own table.
    """
    expected = (workload.blocks * workload.lanes, workload.virtual_channels)
    if weights.shape != expected:
        raise ScheduleError(f"weights of shape {weights.shape} for an indexed convolution of {expected}")
    blocked = weights.reshape(workload.blocks, workload.lanes, workload.virtual_channels).transpose(0, 2, 1)
    runs = []
    for start, count, tile in tiles(workload.blocks, decisions["block_tile"]):
        run = blocked[start : start + count].reshape(count // tile, tile, -1, workload.lanes)
        runs.append(run.transpose(0, 2, 1, 3).ravel())
    return np.ascontiguousarray(np.concatenate(runs), dtype=np.float32)


def _emit_region(workload: IndexedConv, region: Region, buffers: Buffers) -> None:
    (first_block, blocks, block_tile), (first_pixel, pixels, _) = region.blocks, region.pixels
    lanes, channels = workload.lanes, workload.virtual_channels
    shape = (blocks, pixels, lanes)
    accumulator = T.sblock_alloc_buffer(shape, "float32")
    with T.grid(*shape, channels) as loops, T.sblock(f"multiply_add_{region.index}"):
        o, p, v, c = T.axis.remap("SSSR", list(loops))
        with T.init():
            start = epilogue.initial_value(workload.epilogue, buffers, o + first_block, v, lanes)
            T.buffer_store(accumulator, start, [o, p, v])
        table = (o + first_block) * workload.tables // workload.blocks if workload.tables > 1 else 0
        x = buffers["x"][address(buffers["ct"][table * channels + c], buffers["pt"][p + first_pixel])]
        panel = first_block * channels * lanes + (o // block_tile) * (channels * block_tile * lanes)
        k = buffers["k"][panel + c * (block_tile * lanes) + (o % block_tile) * lanes + v]
        T.buffer_store(accumulator, accumulator[o, p, v] + x * k, [o, p, v])
    with T.grid(*shape) as loops, T.sblock(f"store_{region.index}"):
        o, p, v = T.axis.remap("SSS", list(loops))
        at = epilogue.Position(o + first_block, p + first_pixel, v, lanes)
        value = epilogue.finish_sum(workload.epilogue, accumulator[o, p, v], buffers, at)
        y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
        T.buffer_store(buffers["y"], value, [y])


def _schedule_region(
    schedule: Schedule, region: Region, decisions: Decisions, rounds: int, tasks: int, near: bool
) -> tuple[int, int, int]:
    """The extents of its outer loops: panels, pixel tiles, block tiles of a panel.

    near: tasks may share the pixels alone, each reading all weights.
    """
    o, p, v = schedule.get_loops(schedule.get_sblock(f"store_{region.index}"))
    (_, blocks, block_tile), (_, pixels, pixel_tile) = region.blocks, region.pixels
    panel = largest_divisor(blocks // block_tile, decisions["panel"])
    o_panel, o_outer, o_inner = schedule.split(o, [None, panel, block_tile])
    p_outer, p_inner = schedule.split(p, [None, pixel_tile])
    outer = [o_panel, p_outer, o_outer]
    schedule.reorder(*outer, p_inner, o_inner, v)
    accumulate_in_registers(
        schedule,
        f"multiply_add_{region.index}",
        f"store_{region.index}",
        outer=outer,
        tile=[p_inner, o_inner],
        unroll=[decisions["unroll"]],
        tasks=tasks,
        near=[p_outer] if near else [],
        rounds=rounds,
    )
    return blocks // block_tile // panel, pixels // pixel_tile, panel


class IndexedConvTemplate:
    """See the module's docstring. Weights: `pack_weights`. Source: Dukhan, arXiv 1907.02129."""

    kind = KIND
    version = 2

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if isinstance(workload, IndexedConv) and workload.blocks % workload.tables:
            return f"{workload.blocks} blocks do not share {workload.tables} tables evenly"
        return refusal(workload, IndexedConv, "an indexed convolution")

    def defaults(self, workload: IndexedConv, machine: MachineParameters, threads: int) -> Decisions:
        return default_decisions(workload, machine, threads)

    def candidates(
        self, workload: IndexedConv, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return candidate_decisions(workload, machine, threads)

    def schedule(self, workload: IndexedConv, decisions: Decisions, machine: MachineParameters) -> Kernel:
        check_tile(workload, decisions, machine)
        if workload.virtual_channels % decisions["unroll"]:
            raise ScheduleError(
                f"unroll {decisions['unroll']} does not divide {workload.virtual_channels} virtual channels"
            )
        blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
        parameters = {
            "x": ("float32", UNBOUNDED),
            "ct": ("int32", workload.tables * workload.virtual_channels),
            "pt": ("int32", pixels),
            "k": ("float32", blocks * workload.virtual_channels * lanes),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }
        parts = list(regions(workload, decisions))

        buffers: dict[str, Any] = {}

        def body(declared: Buffers) -> None:
            buffers.update(declared)
            for region in parts:
                _emit_region(workload, region, buffers)

        schedule = Schedule(emit(parameters, body))
        multiply_adds = blocks * pixels * lanes * workload.virtual_channels
        tasks = tasks_for(multiply_adds / (machine.lanes * machine.fma_ports), decisions["threads"])
        rounds = chunk_rounds(workload, decisions)
        near = weights_stay(workload, machine)
        extents = [_schedule_region(schedule, region, decisions, rounds, tasks, near) for region in parts]
        func = schedule.mod["main"]
        if rounds > 1:
            for region, extent in zip(parts, extents, strict=True):
                sweep = Sweep.of(schedule, f"multiply_add_{region.index}_update", extent)
                fetch = pixels_ahead(workload, decisions, region.blocks, region.pixels, sweep, buffers)
                func = func if fetch is None else begin_with(func, sweep.chunk, fetch)
        shape = f"{workload.virtual_channels}x{blocks * lanes}x{pixels}"
        shape += f"_t{decisions['pixel_tile']}x{decisions['block_tile']}"
        return kernel_of(KIND, shape, workload, decisions, func, parameters)
