"""The paired convolution: a dense indexed convolution with two multiply-adds for every three products.

    y[yo[o] + yp[p] + v] = epilogue(sum_c x[ct[c] + pt[p]] * k[o, c, v])

computed as `schedules/paired_products.py` says. A column of pixels by one output block is kept in registers;
every sum takes one scalar of x, broadcast from memory as the addition's own operand. What the pairs of x add
up to is computed first, for all columns of a chunk, a vector of channels at a time; and so is the largest of
these x. Where it is far from what the weights are scaled to, a column's products are not paired, so that no
input costs accuracy. Channels that do not fill a group are multiplied as they are.

Decisions:
    pixel_tile: pixels of a column.
    columns:    of a chunk, over which all panels sweep.
    panel:      how many blocks share a sweep: their weights stay in the second cache.
    unroll:     groups of channels in the loop body; divides their number.
    threads:    how many share the chunks, or the blocks if chunks are few; if the work pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.activation import constant
from schedules.applicability import refusal
from schedules.emit import UNBOUNDED, Buffers, Expr, address, emit
from schedules.machine import MachineParameters
from schedules.paired_products import ADDITIONS, GROUP, HEADER, HIGHEST, LOWEST, MULTIPLY_ADDS, NEGATED
from schedules.parallelism import divides_evenly, makespan, tasks_for, worth_threads
from schedules.template import (
    Decisions,
    Kernel,
    ScheduleError,
    divisors,
    doublings,
    kernel_of,
    largest_divisor,
    tiles,
)
from schedules.workload import PairedConv, Workload
from schedules.x86.lane_reduction import add, fill, outer_loop, reduce_lanes, reduce_vectors
from schedules.x86.register_tile import blocks_at_once

KIND = "paired_conv"
_LARGEST_UNROLL = 4
_LARGEST_CHUNK = 4096
"""Pixels: what is kept of each lies on the stack."""
_BOUNDS = 2
"""Vectors of largest values: each waits for the one before of its own."""
_STEP_OVERHEAD = 1.0
"""Cycles of a step besides loads and arithmetic: its table entries and share of the loop."""
_TILE_OVERHEAD = 8.0
"""Cycles to start and leave the sums of a column."""
_PRODUCTS_OVERHEAD = 8.0
"""Cycles per pixel to add up the lanes of its products."""
_SMOOTHNESS = 8.0
"""Exponent that joins arithmetic, loads and latency: the busiest counts, a close second is felt."""


@attrs.frozen(eq=False)
class _Chunk:
    """The statements for `columns` columns of `tile` pixels, from the pixel `first` on; at most `most`."""

    workload: PairedConv
    buffers: Buffers
    first: Expr
    columns: Expr
    most: int
    tile: int

    def emit(self, first_block: Expr, blocks: int, panel: int, unroll: int) -> None:
        """All of it, for some of the output's blocks."""
        products = T.sblock_alloc_buffer((self.most * self.tile,), "float32", scope="local")
        largest = T.sblock_alloc_buffer((self.most,), "float32", scope="local")
        with T.serial(self.columns) as column:
            self._sum_products(column, products, largest)
        with T.serial(blocks // panel) as sweep, T.serial(self.columns) as column, T.serial(panel) as i:
            block = first_block + sweep * panel + i
            sums = self._vectors(self.tile)
            near = tirx.all(largest[column] >= constant(LOWEST), largest[column] <= constant(HIGHEST))
            with T.If(near):
                with T.Then():
                    self._sum_paired(sums, block, column, products, unroll)
                with T.Else():
                    self._sum_direct(sums, block, column)
            self._store(sums, block, column)

    def _vectors(self, count: int) -> Any:
        return T.sblock_alloc_buffer((count, self.workload.lanes), "float32", scope="local")

    def _pixel(self, column: Expr, p: int) -> Expr:
        return self.first + column * self.tile + p

    def _x(self, channel: Expr, column: Expr, p: int) -> Expr:
        return self.buffers["x"][
            address(self.buffers["ct"][channel], self.buffers["pt"][self._pixel(column, p)])
        ]

    def _k(self, block: Expr, row: Expr, v: Expr) -> Expr:
        rows = HEADER + self.workload.virtual_channels
        return self.buffers["k"][(block * rows + row) * self.workload.lanes + v]

    def _set(self, vectors: Any, value: Callable[[int, Expr], Expr]) -> None:
        """`vectors[p] = value(p)` for every pixel of a column."""
        for p in range(self.tile):
            with T.vectorized(self.workload.lanes) as v:
                T.buffer_store(vectors, value(p, v), [p, v])

    def _sum_products(self, column: Expr, products: Any, largest: Any) -> None:
        """What the pairs of x add up to, for each pixel of a column; and the largest x among them."""
        lanes, buffers = self.workload.lanes, self.buffers
        sums, bounds = self._vectors(self.tile), self._vectors(_BOUNDS)
        self._set(sums, lambda p, v: constant(0.0))
        fill(bounds, _BOUNDS, lanes)
        with T.serial(self.workload.lines) as line:
            for p in range(self.tile):
                with T.vectorized(lanes) as v:
                    pixel = buffers["pt"][self._pixel(column, p)]
                    left, right = (
                        buffers["x"][address(buffers["line"][line * 2 + i], pixel, v)] for i in range(2)
                    )
                    sign, i = buffers["sign"][line * lanes + v], p % _BOUNDS
                    # Chosen, not multiplied with zero: lanes that hold no channel may hold anything.
                    used = tirx.NE(sign, constant(0.0))
                    total = sums[p, v] + left * sign * right
                    T.buffer_store(sums, tirx.Select(used, total, sums[p, v]), [p, v])
                    bound = tirx.max(bounds[i, v], tirx.abs(left))
                    T.buffer_store(bounds, tirx.Select(used, bound, bounds[i, v]), [i, v])
        for p in range(self.tile):
            T.buffer_store(products, reduce_lanes(add, sums, p, lanes), [column * self.tile + p])
        reduce_vectors(tirx.max, bounds, _BOUNDS, lanes)
        T.buffer_store(largest, reduce_lanes(tirx.max, bounds, 0, lanes), [column])

    def _sum_paired(self, sums: Any, block: Expr, column: Expr, products: Any, unroll: int) -> None:
        self._set(sums, lambda p, v: self._k(block, 0, v) - products[column * self.tile + p])
        with T.serial(self.workload.virtual_channels // GROUP // unroll) as step:
            for group in range(unroll):
                self._add_group(sums, block, column, (step * unroll + group) * GROUP)

    def _add_group(self, sums: Any, block: Expr, column: Expr, channel: Expr) -> None:
        """Each term for every pixel before the next: a multiply-add waits for the one before of its pixel."""

        def x(i: int, p: int) -> Expr:
            return self._x(channel + i, column, p)

        def k(i: int, v: Expr) -> Expr:
            return self._k(block, channel + HEADER + i, v)

        self._set(sums, lambda p, v: sums[p, v] + (x(0, p) + k(1, v)) * (x(1, p) + k(0, v)))
        self._set(sums, lambda p, v: sums[p, v] + (x(2, p) + k(3, v)) * (k(2, v) - x(3, p)))
        self._set(sums, lambda p, v: sums[p, v] + x(4, p) * k(4, v))
        self._set(sums, lambda p, v: sums[p, v] + x(5, p) * k(5, v))

    def _sum_direct(self, sums: Any, block: Expr, column: Expr) -> None:
        """The same from the same weights, of which the fourth of a group is stored negated."""
        self._set(sums, lambda p, v: constant(0.0))
        with T.serial(self.workload.virtual_channels // GROUP) as step:
            for i in range(GROUP):
                sign = constant(-1.0 if i == NEGATED else 1.0)
                self._add_product(sums, block, column, step * GROUP + i, sign)

    def _store(self, sums: Any, block: Expr, column: Expr) -> None:
        workload, buffers = self.workload, self.buffers
        for channel in range(workload.virtual_channels // GROUP * GROUP, workload.virtual_channels):
            self._add_product(sums, block, column, channel, constant(1.0))
        for p in range(self.tile):
            with T.vectorized(workload.lanes) as v:
                at = epilogue.Position(block, self._pixel(column, p), v, workload.lanes)
                value = epilogue.apply(workload.epilogue, sums[p, v] * self._k(block, 1, v), buffers, at)
                y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
                T.buffer_store(buffers["y"], value, [y])

    def _add_product(self, sums: Any, block: Expr, column: Expr, channel: Expr, sign: Expr) -> None:
        def total(p: int, v: Expr) -> Expr:
            return sums[p, v] + self._x(channel, column, p) * (sign * self._k(block, HEADER + channel, v))

        self._set(sums, total)


def _column_cycles(workload: PairedConv, pixels: int, machine: MachineParameters) -> float:
    """Of one column with all its blocks: the busiest of multiply-adds, additions, loads and latency."""
    groups, rest = divmod(workload.virtual_channels, GROUP)
    bounds = (
        pixels * MULTIPLY_ADDS / machine.fma_ports,
        pixels * ADDITIONS / machine.add_ports,
        pixels * GROUP / 2 + GROUP / machine.load_ports,
        float(machine.fma_latency * MULTIPLY_ADDS),
    )
    step: float = sum(bound**_SMOOTHNESS for bound in bounds) ** (1.0 / _SMOOTHNESS)
    block = groups * (step + _STEP_OVERHEAD) + rest * max(pixels / machine.fma_ports, machine.fma_latency)
    block += _TILE_OVERHEAD + pixels * (len(workload.epilogue) + 1)
    products = pixels * (3 * workload.lines / machine.load_ports + _PRODUCTS_OVERHEAD)
    return workload.blocks * block + products


def _total_cycles(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> float:
    runs = tiles(workload.pixels, tile)
    counts = [count // size for _, count, size in runs]
    cycles = [_column_cycles(workload, size, machine) for _, _, size in runs]
    total = makespan(counts, cycles, 1)
    return makespan(counts, cycles, threads) if worth_threads(total, threads) else total


@cache
def _cheapest(workload: PairedConv, machine: MachineParameters, threads: int) -> tuple[int, float]:
    costs = {tile: _total_cycles(workload, tile, machine, threads) for tile in _columns(workload, machine)}
    tile = min(costs, key=lambda tile: (costs[tile], tile))
    return tile, costs[tile]


def modelled_cycles(workload: PairedConv, machine: MachineParameters, threads: int) -> float:
    """Of the workload with its best column: to compare with other ways to compute the same."""
    return _cheapest(workload, machine, threads)[1]


def _columns(workload: PairedConv, machine: MachineParameters) -> range:
    return range(1, min(workload.pixels, machine.address_registers) + 1)


def _panel(workload: PairedConv, machine: MachineParameters) -> int:
    weights = workload.lanes * (HEADER + workload.virtual_channels) * 4
    return blocks_at_once(workload, weights, 1, machine)


def _columns_at_once(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> int:
    """Columns whose x takes a quarter of the second cache, or as few as one for each thread."""
    whole = max(1, workload.pixels // tile)
    fitting = machine.l2_bytes // 4 // (tile * workload.virtual_channels * 4)
    limit = min(max(1, fitting), _LARGEST_CHUNK // tile, -(-whole // threads))
    return -(-whole // -(-whole // limit))


class PairedConvTemplate:
    """See the module's docstring. Weights: `pack_paired`."""

    kind = KIND
    version = 1

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        if not machine.add_ports:
            return "additions share the ports of multiply-adds"
        if not machine.embeds_broadcast:
            return "additions do not take one scalar from memory for all lanes"
        if isinstance(workload, PairedConv) and workload.virtual_channels < GROUP:
            return f"{workload.virtual_channels} channels, a group has {GROUP}"
        if isinstance(workload, PairedConv) and workload.lanes != machine.lanes:
            return f"blocks of {workload.lanes} lanes, a vector has {machine.lanes}"
        return refusal(workload, PairedConv, "a paired convolution")

    def defaults(self, workload: PairedConv, machine: MachineParameters, threads: int) -> Decisions:
        tile = _cheapest(workload, machine, threads)[0]
        return {
            "pixel_tile": tile,
            "columns": _columns_at_once(workload, tile, machine, threads),
            "panel": _panel(workload, machine),
            "unroll": 1,
            "threads": threads,
        }

    def candidates(
        self, workload: PairedConv, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        return {
            "pixel_tile": tuple(_columns(workload, machine)),
            "columns": doublings(max(1, min(workload.pixels, _LARGEST_CHUNK) // machine.address_registers)),
            "unroll": divisors(workload.virtual_channels // GROUP, _LARGEST_UNROLL),
            "panel": divisors(workload.blocks, workload.blocks),
            "threads": tuple(sorted({1, threads})),
        }

    def schedule(self, workload: PairedConv, decisions: Decisions, machine: MachineParameters) -> Kernel:
        _check(workload, decisions, machine)
        blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
        channels = workload.virtual_channels
        parameters = {
            "x": ("float32", UNBOUNDED),
            "ct": ("int32", channels),
            "pt": ("int32", pixels),
            "line": ("int32", workload.lines * 2),
            "sign": ("float32", workload.lines * lanes),
            "k": ("float32", blocks * (HEADER + channels) * lanes),
            "yo": ("int32", blocks),
            "yp": ("int32", pixels),
            "y": ("float32", UNBOUNDED),
            **epilogue.parameters(workload.epilogue, blocks, lanes, pixels),
        }

        def body(buffers: Buffers) -> None:
            for run in tiles(pixels, decisions["pixel_tile"]):
                _emit_run(workload, decisions, machine, run, buffers)

        func = Schedule(emit(parameters, body)).mod["main"]
        shape = f"{channels}x{blocks * lanes}x{pixels}_t{decisions['pixel_tile']}"
        return kernel_of(KIND, shape, workload, decisions, func, parameters)


def _emit_run(
    workload: PairedConv,
    decisions: Decisions,
    machine: MachineParameters,
    run: tuple[int, int, int],
    buffers: Buffers,
) -> None:
    """The columns of one size, (first pixel, pixels, pixels of a column): a loop over chunks and parts."""
    first, count, tile = run
    whole, most = count // tile, min(count // tile, decisions["columns"])
    chunks = -(-whole // most)
    tasks = tasks_for(modelled_cycles(workload, machine, 1), decisions["threads"])
    parts = _parts(workload.blocks // decisions["panel"], chunks, tasks)
    blocks = workload.blocks // parts
    with outer_loop(chunks * parts, tasks > 1) as i:
        start = i // parts * most
        columns = most if whole % most == 0 else tirx.min(most, whole - start)
        chunk = _Chunk(workload, buffers, first + start * tile, columns, most, tile)
        chunk.emit(i % parts * blocks, blocks, decisions["panel"], decisions["unroll"])


def _parts(panels: int, chunks: int, tasks: int) -> int:
    """In how many parts the panels are dealt out: one if that many chunks divide evenly between the tasks."""
    return 1 if divides_evenly(chunks, tasks) else largest_divisor(panels, tasks)


def _check(workload: PairedConv, decisions: Decisions, machine: MachineParameters) -> None:
    groups = workload.virtual_channels // GROUP
    if groups % decisions["unroll"]:
        raise ScheduleError(f"unroll {decisions['unroll']} does not divide {groups} groups of channels")
    if workload.blocks % decisions["panel"]:
        raise ScheduleError(f"panel {decisions['panel']} does not divide {workload.blocks} blocks")
    if decisions["columns"] * decisions["pixel_tile"] > _LARGEST_CHUNK:
        raise ScheduleError(
            f"{decisions['columns']} columns of {decisions['pixel_tile']} pixels exceed {_LARGEST_CHUNK}"
        )
    if decisions["pixel_tile"] > machine.address_registers:
        raise ScheduleError(
            f"{decisions['pixel_tile']} pixels have more addresses than {machine.address_registers} registers"
        )
