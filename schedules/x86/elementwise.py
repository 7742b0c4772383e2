"""Element-wise steps, copies and changes of layout.

    y[yo[b] + yp[p] + v] = epilogue(x[address])
    address: xb[b] + xp[p] + v (access `block`) or xl[b * lanes + v] + xp[p] (access `lane`)

Decisions:
    pixel_tile: pixels in the loop body.
    block_tile: blocks that share a tile of pixels. With one lane (a planar output), as many blocks as
                a cache line of the blocked input holds, so that a line is read whole.
    threads:    how many share the tiles, if the work pays for handing it over.
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
from schedules.sharing import share_loops
from schedules.template import Decisions, Kernel, doublings, kernel_of, tiles
from schedules.workload import Elementwise, Workload

KIND = "elementwise"
_PIXEL_TILE = 4
_PLANAR_PIXEL_TILE = 16
_LARGEST_PIXEL_TILE = 64
_CYCLES_PER_VECTOR = 2
"""Or per element, where lanes are read one by one."""


def _emit_region(
    workload: Elementwise, name: str, blocks: tuple[int, int], pixels: tuple[int, int], buffers: Buffers
) -> None:
    lanes = workload.lanes
    with T.grid(blocks[1], pixels[1], lanes) as loops, T.sblock(name):
        o, p, v = T.axis.remap("SSS", list(loops))
        at = epilogue.Position(o + blocks[0], p + pixels[0], v, lanes)
        pixel = buffers["xp"][at.pixel]
        if workload.access == "lane":
            source = address(buffers["xl"][at.block * lanes + v], pixel)
        else:
            source = address(buffers["xb"][at.block], pixel, v)
        value = epilogue.apply(workload.epilogue, buffers["x"][source], buffers, at)
        y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
        T.buffer_store(buffers["y"], value, [y])


class ElementwiseTemplate:
    """See the module's docstring."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if isinstance(workload, Elementwise) and workload.access not in ("block", "lane"):
            return f"access '{workload.access}' of the input"
        return refusal(workload, Elementwise, "an element-wise workload")

    def defaults(self, workload: Elementwise, machine: MachineParameters, threads: int) -> Decisions:
        planar = workload.lanes == 1
        return {
            "pixel_tile": min(_PLANAR_PIXEL_TILE if planar else _PIXEL_TILE, workload.pixels),
            "block_tile": min(machine.cache_line // 4 if planar else 1, workload.blocks),
            "threads": threads,
        }

    def candidates(
        self, workload: Elementwise, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {
            "pixel_tile": doublings(min(_LARGEST_PIXEL_TILE, workload.pixels)),
            "block_tile": doublings(workload.blocks),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: Elementwise, decisions: Decisions, machine: MachineParameters) -> Kernel:
        blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
        read = {"xl": ("int32", blocks * lanes)} if workload.access == "lane" else {"xb": ("int32", blocks)}
        parameters = {
            "x": ("float32", UNBOUNDED),
            **read,
            "xp": ("int32", pixels),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }
        regions = {
            f"store_{i}_{j}": (block_run, pixel_run)
            for i, block_run in enumerate(tiles(blocks, decisions["block_tile"]))
            for j, pixel_run in enumerate(tiles(pixels, decisions["pixel_tile"]))
        }

        def body(buffers: Buffers) -> None:
            for name, (block_run, pixel_run) in regions.items():
                _emit_region(workload, name, block_run[:2], pixel_run[:2], buffers)

        def scheduled() -> tirx.PrimFunc:
            schedule = Schedule(emit(parameters, body))
            gathers = workload.access == "lane" or lanes == 1
            cycles = blocks * pixels * lanes * _CYCLES_PER_VECTOR / (1 if gathers else machine.lanes)
            tasks = tasks_for(cycles, decisions["threads"])
            for name, (block_run, pixel_run) in regions.items():
                o, p, v = schedule.get_loops(schedule.get_sblock(name))
                o_outer, o_inner = schedule.split(o, [None, block_run[2]])
                p_outer, p_inner = schedule.split(p, [None, pixel_run[2]])
                schedule.reorder(o_outer, p_outer, o_inner, p_inner, v)
                share_loops(schedule, [o_outer, p_outer], [p_outer], tasks)
                schedule.unroll(p_inner)
                schedule.vectorize(v)
            return schedule.mod["main"]

        shape = f"{workload.access}_{blocks * lanes}x{pixels}"
        return kernel_of(KIND, shape, workload, decisions, scheduled, parameters)
