"""Templates of what reduces the channels of every pixel, in the blocked layout.

A kernel takes a tile of pixels at a time and keeps a vector of each running sum per pixel in registers. The
blocks of the tile are read several times, from the first cache after the first.

Decisions:
    pixel_tile: pixels whose sums are kept in registers together.
    threads:    how many share the tiles, if the work pays for handing it over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.activation import constant
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, address, emit
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.template import Decisions, Kernel, kernel_of, tiles
from schedules.workload import LayerNorm, Softmax, Workload
from schedules.x86.lane_reduction import outer_loop
from schedules.x86.registers import Vectors, numbers

Expr = Any


@attrs.frozen(eq=False)
class Tile:
    """The pixels `first` to `first + size - 1` while a kernel works on them."""

    workload: LayerNorm | Softmax
    buffers: Buffers
    first: Expr
    size: int

    def vectors(self) -> Vectors:
        """A vector per pixel, in registers."""
        return Vectors(self.size, self.workload.lanes)

    def numbers(self) -> Any:
        """A number per pixel, in registers."""
        return numbers(self.size)

    @contextmanager
    def elements(self) -> Iterator[tuple[Expr, Expr, Expr]]:
        """For every block, pixel and lane."""
        blocks, lanes = self.workload.blocks, self.workload.lanes
        with T.serial(blocks) as o, T.unroll(self.size) as p, T.vectorized(lanes) as v:
            yield o, p, v

    def x(self, o: Expr, p: Expr, v: Expr) -> Expr:
        """The operand's element."""
        return self.buffers["x"][address(self.buffers["xo"][o], self.buffers["xp"][self.first + p], v)]

    def y(self, o: Expr, p: Expr, v: Expr) -> Expr:
        """Where the result's element goes."""
        return address(self.buffers["yo"][o], self.buffers["yp"][self.first + p], v)

    def where_used(self, o: Expr, v: Expr, value: Expr, otherwise: float = 0.0) -> Expr:
        """The value in lanes that a channel takes, `otherwise` in those that may hold anything."""
        workload = self.workload
        if workload.channels == workload.blocks * workload.lanes:
            return value
        used = self.buffers["used"][o * workload.lanes + v]
        return tirx.Select(used > constant(0.0), value, constant(otherwise))

    def store(self, o: Expr, p: Expr, v: Expr, value: Expr) -> None:
        """Write the result's element: the value after the epilogue."""
        at = epilogue.Position(o, self.first + p, v, self.workload.lanes)
        value = epilogue.apply(self.workload.epilogue, value, self.buffers, at)
        T.buffer_store(self.buffers["y"], value, [self.y(o, p, v)])


@attrs.define(eq=False)
class OverChannels:
    """A template for one kind of such work.

    kind, version: see `Template`.
    takes:         the kind of workload, in words `description`.
    emit_tile:     the statements for a tile of pixels.
    vectors:       registers that a pixel takes.
    cycles:        what a vector of the output costs, for the decision whether threads pay.
    """

    kind: str
    version: int
    takes: type[LayerNorm] | type[Softmax]
    description: str
    emit_tile: Callable[[Tile], None]
    vectors: int
    cycles: int

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        return refusal(workload, self.takes, self.description)

    def defaults(self, workload: Any, machine: MachineParameters, threads: int) -> Decisions:
        return {"pixel_tile": self._largest_tile(workload, machine), "threads": threads}

    def candidates(
        self, workload: Any, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        largest = self._largest_tile(workload, machine)
        return {
            "pixel_tile": tuple(range(1, min(2 * largest, workload.pixels) + 1)),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: Any, decisions: Decisions, machine: MachineParameters) -> Kernel:
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
            cycles = blocks * lanes * pixels * self.cycles / machine.lanes
            parallel = worth_threads(cycles, decisions["threads"])
            for start, count, size in tiles(pixels, decisions["pixel_tile"]):
                with outer_loop(count // size, parallel) as i:
                    self.emit_tile(Tile(workload, buffers, start + i * size, size))

        def scheduled() -> tirx.PrimFunc:
            return Schedule(emit(parameters, body)).mod["main"]

        return kernel_of(
            self.kind, f"{workload.channels}x{pixels}", workload, decisions, scheduled, parameters
        )

    def _largest_tile(self, workload: Any, machine: MachineParameters) -> int:
        registers = machine.vector_registers * machine.lanes // max(workload.lanes, machine.lanes)
        largest: int = min(registers // self.vectors, workload.pixels)
        return max(1, largest)
