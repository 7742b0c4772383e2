"""The indexed convolution: every dense or grouped convolution and GEMM.

    y[yo[o] + yp[p] + v] = epilogue(sum_c x[ct[t(o), c] + pt[p]] * k[o, c, v])

A tile of `pixel_tile` pixels by `block_tile` output blocks is kept in vector registers during the
whole reduction. A step of the reduction loads one weight vector per block and multiplies each by one
scalar of x per pixel, broadcast from memory as the multiply-add's own operand. A tile is a list of
pixels, not a rectangle: it may straddle rows and images, so small planes waste nothing.

Decisions:
    pixel_tile, block_tile: the register tile; what does not fill one is computed with a smaller one.
    unroll:       steps of the reduction in the loop body; divides its length.
    chunk:        how many tiles of pixels all panels sweep over before the next chunk: their x stays in the
                  second cache.
    panel:        how many block tiles share a sweep over a chunk. Their weights stay in the second
                  cache, and the tile of x stays in the first cache while it meets all of them.
    x_tiles:      tiles of pixels on their way from memory, the one that is summed among them: what lies
                  beyond the second cache is fetched `x_tiles - 1` tiles ahead.
    k_panels:     panels of weights on their way, the one in use among them: with 2, the next panel's are
                  fetched meanwhile, and behind the last one's what the program's next step begins with.
    threads:      how many share the tiles of a region, if its work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx
from tvm.s_tir import Schedule

from schedules import epilogue
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, emit
from schedules.machine import MachineParameters
from schedules.parallelism import tasks_for
from schedules.prefetch import begin_with
from schedules.register_blocking import accumulate_in_registers
from schedules.template import Decisions, Kernel, ScheduleError, kernel_of, tiles
from schedules.workload import IndexedConv, Workload
from schedules.x86.indexed_regions import Region, are_joint, emit_regions, regions
from schedules.x86.pixels_ahead import pixels_ahead, rounds_of_run
from schedules.x86.register_tile import candidate_decisions, check_tile, default_decisions, weights_stay
from schedules.x86.sweep import Sweep
from schedules.x86.weights_ahead import weights_ahead

KIND = "indexed_conv"


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


def unpack_weights(
    workload: IndexedConv, decisions: Decisions, packed: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What `pack_weights` packed: [blocks * lanes, virtual channels]."""
    channels, lanes = workload.virtual_channels, workload.lanes
    runs, position = [], 0
    for _, count, tile in tiles(workload.blocks, decisions["block_tile"]):
        size = count * channels * lanes
        run = packed[position : position + size].reshape(count // tile, channels, tile, lanes)
        runs.append(run.transpose(0, 2, 3, 1).reshape(-1, channels))
        position += size
    return np.concatenate(runs)


def _schedule_region(
    schedule: Schedule, region: Region, decisions: Decisions, rounds: int, tasks: int, near: bool
) -> Sweep:
    """near: tasks may share the pixels alone, each reading all weights."""
    name = f"multiply_add_{region.index}"
    *_, o, p, v = schedule.get_loops(schedule.get_sblock(f"store_{region.index}"))
    (_, blocks, block_tile), (_, pixels, pixel_tile) = region.blocks, region.pixels
    panels, chunks = region.panels(decisions), region.chunks(decisions)
    extents = chunks, panels, pixels // pixel_tile // chunks, blocks // block_tile // panels
    o_panel, o_outer, o_inner = schedule.split(o, [None, extents[3], block_tile])
    p_chunk, p_outer, p_inner = schedule.split(p, [chunks, extents[2], pixel_tile])
    outer = [p_chunk, o_panel, p_outer, o_outer]
    schedule.reorder(*outer, p_inner, o_inner, v)
    over_pixels = p_outer if chunks == 1 else p_chunk
    accumulate_in_registers(
        schedule,
        name,
        f"store_{region.index}",
        outer=outer,
        tile=[p_inner, o_inner],
        unroll=[decisions["unroll"]],
        tasks=tasks,
        near=[over_pixels] if near else [],
        rounds=rounds,
    )
    return Sweep.of(schedule, f"{name}_update", region, extents, rounds)


class IndexedConvTemplate:
    """See the module's docstring. Weights: `pack_weights`. Source: Dukhan, arXiv 1907.02129."""

    kind = KIND
    version = 3

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
        multiply_adds = blocks * pixels * lanes * workload.virtual_channels
        tasks = tasks_for(multiply_adds / (machine.lanes * machine.fma_ports), decisions["threads"])
        rounds = rounds_of_run(workload, decisions)
        parts = list(regions(workload, decisions))
        near = weights_stay(workload, machine) and (
            parts[0].shares_pixels(tasks) or not are_joint(workload, decisions, machine, 1)
        )
        joint = are_joint(workload, decisions, machine, 1 if near else tasks)
        # By panels if these are joint, so that each task reads weights of its own; else within them.
        over_panels, within = (tasks, 1) if joint and not near else (1, tasks)
        buffers: dict[str, Any] = {}

        def body(declared: Buffers) -> None:
            buffers.update(declared)
            emit_regions(workload, decisions, joint, over_panels, buffers)

        def scheduled() -> tirx.PrimFunc:
            schedule = Schedule(emit(parameters, body))
            sweeps = [_schedule_region(schedule, part, decisions, rounds, within, near) for part in parts]
            func = schedule.mod["main"]
            for sweep in sweeps:
                for fetch in (
                    pixels_ahead(workload, decisions, sweep, buffers),
                    weights_ahead(
                        workload, decisions, sweep, buffers, machine.cache_line, tasks if near else 1
                    ),
                ):
                    func = func if fetch is None else begin_with(func, sweep.run, fetch)
            return func

        shape = f"{workload.virtual_channels}x{blocks * lanes}x{pixels}"
        shape += f"_t{decisions['pixel_tile']}x{decisions['block_tile']}"
        return kernel_of(KIND, shape, workload, decisions, scheduled, parameters)
