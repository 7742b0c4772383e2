"""The tile of a depthwise convolution: what its pixels read in common, and which is modelled the cheapest.

A tile is a rectangle of output pixels. Its displacements are constants, so it is known which vectors of x
its pixels share: with a stride of 1, a tile of 2 x 7 pixels of a 3 x 3 filter reads 4 x 9 vectors for its 126
multiply-adds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import attrs

from schedules.busiest import busiest
from schedules.machine import MachineParameters
from schedules.parallelism import divides_evenly, makespan, tasks_for
from schedules.template import ScheduleError, tiles
from schedules.workload import Depthwise

_ACCUMULATORS = 7 / 16
"""Share of the registers that accumulators may take: with more, vectors of x on their way are spilled."""
_SCRATCH = 4
"""Registers besides accumulators and weights: bias, bounds of the epilogue, a vector of x."""
_TILE_OVERHEAD = 3.0
"""Cycles to start and leave a tile."""
_LOAD_OVERHEAD = 0.08
"""Share of the loads that is not hidden behind the arithmetic."""
_REGION_PENALTY = 0.004
"""Share of the whole that a region's own code costs: to compile, to fetch, to predict."""
_FAR = 1.05
"""What the whole costs if tasks cannot have the same rows of the plane from kernel to kernel."""

Use = tuple[int, int, int]
"""Row and column in the tile, and the tap."""


@attrs.frozen
class DepthwiseTile:
    """`rows` by `columns` accumulators of `vectors` vector registers each."""

    rows: int
    columns: int
    vectors: int = 1

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    def reads(self, workload: Depthwise) -> list[tuple[int, list[Use]]]:
        """Every displacement from the first pixel's address that is read, ascending, with all its uses."""
        uses: dict[int, list[Use]] = defaultdict(list)
        for tap, offset in enumerate(workload.taps):
            for row in range(self.rows):
                for column in range(self.columns):
                    pixel = row * workload.row_step + column * workload.column_step
                    uses[pixel + offset].append((row, column, tap))
        return sorted(uses.items())

    def holds(self, machine: MachineParameters) -> bool:
        """The accumulators stay in registers, and one vector of x beside them."""
        return self.pixels * self.vectors < machine.vector_registers

    def cycles(self, workload: Depthwise, machine: MachineParameters) -> float:
        """Of one tile, from its address to its stores."""
        taps = len(workload.taps)
        registers = self.vectors * (self.pixels + taps + _SCRATCH)
        # A weight without a register is read from memory by every multiply-add.
        unheld = min(taps * self.vectors, max(0, registers - machine.vector_registers))
        loads = self.vectors * len(self.reads(workload)) + unheld * self.pixels
        loading = loads / machine.load_ports
        arithmetic = self.vectors * self.pixels * taps / machine.fma_ports
        return busiest(arithmetic, loading) + _TILE_OVERHEAD + _LOAD_OVERHEAD * loading


@attrs.frozen
class Region:
    """A part of the plane cut into equal tiles: `rows` and `columns` are (start, count, tile)."""

    index: int
    rows: tuple[int, int, int]
    columns: tuple[int, int, int]

    @property
    def extents(self) -> tuple[int, int]:
        """How many tiles there are below and beside each other."""
        return self.rows[1] // self.rows[2], self.columns[1] // self.columns[2]


def regions(workload: Depthwise, tile: DepthwiseTile) -> Iterator[Region]:
    """At most four: whole tiles, and the remainders below and beside them."""
    index = 0
    for rows in tiles(workload.rows, tile.rows):
        for columns in tiles(workload.columns, tile.columns):
            yield Region(index, rows, columns)
            index += 1


def tiles_that_fit(workload: Depthwise, machine: MachineParameters) -> Iterator[DepthwiseTile]:
    """All tiles inside the plane that leave enough registers for the rest."""
    machine = machine.for_lanes(workload.lanes)
    vectors = max(1, workload.lanes // machine.lanes)
    pixels = max(1, int(_ACCUMULATORS * machine.vector_registers) // vectors)
    for rows in range(1, min(workload.rows, pixels) + 1):
        for columns in range(1, min(workload.columns, pixels // rows) + 1):
            tile = DepthwiseTile(rows, columns, vectors)
            if tile.holds(machine):
                yield tile


def tasks_sharing(workload: Depthwise, machine: MachineParameters, threads: int) -> int:
    """How many tasks share the tiles: as many as there are threads, or one."""
    multiply_adds = workload.blocks * workload.lanes * workload.pixels * len(workload.taps)
    return tasks_for(multiply_adds / machine.lanes, threads)


@cache
def cheapest_tile(workload: Depthwise, machine: MachineParameters, threads: int) -> DepthwiseTile:
    """The tile with the fewest modelled cycles of the whole output, remainders included.

    Raises ScheduleError if not even one accumulator fits, which only a channel block wider than the
    register file could cause.
    """
    machine = machine.for_lanes(workload.lanes)
    costs = {
        tile: _total_cycles(workload, tile, machine, threads) for tile in tiles_that_fit(workload, machine)
    }
    if not costs:
        raise ScheduleError(f"channel blocks of {workload.lanes} lanes do not fit the registers")
    return min(costs, key=lambda tile: (costs[tile], tile.pixels))


def _total_cycles(
    workload: Depthwise, tile: DepthwiseTile, machine: MachineParameters, threads: int
) -> float:
    """Of the whole output; until the last task is through, if threads share it."""
    counts, cycles, far = [], [], 1.0
    tasks = tasks_sharing(workload, machine, threads)
    for region in regions(workload, tile):
        rows, columns = region.extents
        counts.append(workload.blocks * workload.batch * rows * columns)
        part = DepthwiseTile(region.rows[2], region.columns[2], tile.vectors)
        cycles.append(part.cycles(workload, machine))
        if not divides_evenly(workload.batch * rows, tasks):
            far = _FAR
    total = makespan(counts, cycles, tasks) * (1 + _REGION_PENALTY * len(counts))
    return far * total
