"""The taps of a large depthwise kernel as lines of equal steps, and which loop over them is the cheapest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import attrs

from schedules.busiest import busiest
from schedules.machine import MachineParameters
from schedules.parallelism import makespan
from schedules.template import ScheduleError
from schedules.workload import Depthwise
from schedules.x86.depthwise_tile import DepthwiseTile, Use, regions, tasks_sharing

_LONGEST_PIECE = 7
"""More taps share few loads more, and the code is longer."""
_TILE_OVERHEAD, _LINE_OVERHEAD, _PIECE_OVERHEAD = 8.0, 3.0, 0.5
"""Cycles to start and leave a tile, a line and a piece."""
_PIXEL_OVERHEAD = 2.0
"""Cycles of a pixel's first value and of its store, for each vector."""


@attrs.frozen
class Lines:
    """`offset[i * taps + j] = start + i * line_step + j * tap_step` for i < `count` and j < `taps`."""

    start: int
    count: int
    taps: int
    line_step: int
    tap_step: int

    @property
    def offsets(self) -> tuple[int, ...]:
        """Of all taps, line by line."""
        return tuple(
            self.start + line * self.line_step + tap * self.tap_step
            for line in range(self.count)
            for tap in range(self.taps)
        )

    def reads(self, workload: Depthwise, tile: DepthwiseTile, taps: int) -> list[tuple[int, list[Use]]]:
        """Every displacement from the first pixel's first tap that is read, ascending, with all its uses.

        taps: how many follow each other in a line; uses count them from the first.
        """
        uses: dict[int, list[Use]] = defaultdict(list)
        for row in range(tile.rows):
            for column in range(tile.columns):
                pixel = row * workload.row_step + column * workload.column_step
                for tap in range(taps):
                    uses[pixel + tap * self.tap_step].append((row, column, tap))
        return sorted(uses.items())


@cache
def lines_of(offsets: tuple[int, ...]) -> Lines | str:
    """The longest lines that the offsets of taps are, or why they are none."""
    total = len(offsets)
    step = offsets[1] - offsets[0] if total > 1 else 0
    taps = next((i for i in range(1, total) if offsets[i] - offsets[i - 1] != step), total)
    line_step = offsets[taps] - offsets[0] if taps < total else 0
    lines = Lines(offsets[0], -(-total // taps), taps, line_step, step)
    return lines if lines.offsets == offsets else "the taps are no lines of equal steps"


@attrs.frozen
class DepthwiseLoop:
    """A tile, and how many taps of a line are written out together."""

    tile: DepthwiseTile
    piece: int

    def cycles(self, workload: Depthwise, lines: Lines, machine: MachineParameters) -> float:
        """Of one tile, from its address to its stores."""
        whole, left = divmod(lines.taps, self.piece)
        line = whole * self._piece_cycles(workload, lines, machine, self.piece) + _LINE_OVERHEAD
        if left:
            line += self._piece_cycles(workload, lines, machine, left)
        around = _TILE_OVERHEAD + _PIXEL_OVERHEAD * self.tile.pixels * self.tile.vectors
        return lines.count * line + around

    def _piece_cycles(
        self, workload: Depthwise, lines: Lines, machine: MachineParameters, taps: int
    ) -> float:
        tile = self.tile
        arithmetic = tile.vectors * tile.pixels * taps / machine.fma_ports
        loads = tile.vectors * (len(lines.reads(workload, tile, taps)) + taps) / machine.load_ports
        return busiest(arithmetic, loads, taps * machine.fma_latency) + _PIECE_OVERHEAD


def loops_that_fit(workload: Depthwise, machine: MachineParameters) -> Iterator[DepthwiseLoop]:
    """All that leave registers for the weights of a piece and a vector of x beside the accumulators."""
    lines = lines_of(workload.taps)
    assert isinstance(lines, Lines)
    machine = machine.for_lanes(workload.lanes)
    vectors = max(1, workload.lanes // machine.lanes)
    for piece in range(1, min(lines.taps, _LONGEST_PIECE) + 1):
        pixels = (machine.vector_registers - 1) // vectors - piece
        for rows in range(1, min(workload.rows, pixels) + 1):
            for columns in range(1, min(workload.columns, pixels // rows) + 1):
                yield DepthwiseLoop(DepthwiseTile(rows, columns, vectors), piece)


@cache
def cheapest_loop(workload: Depthwise, machine: MachineParameters, threads: int) -> DepthwiseLoop:
    """The loop with the fewest modelled cycles of the whole output, remainders included.

    Raises ScheduleError if not even one accumulator fits, which only a channel block wider than the
    register file could cause.
    """
    costs = {
        loop: _total_cycles(workload, loop, machine.for_lanes(workload.lanes), threads)
        for loop in loops_that_fit(workload, machine)
    }
    if not costs:
        raise ScheduleError(f"channel blocks of {workload.lanes} lanes do not fit the registers")
    return min(costs, key=lambda loop: (costs[loop], loop.tile.pixels, loop.piece))


def _total_cycles(
    workload: Depthwise, loop: DepthwiseLoop, machine: MachineParameters, threads: int
) -> float:
    """Of the whole output; until the last task is through, if threads share it."""
    lines = lines_of(workload.taps)
    assert isinstance(lines, Lines)
    counts, cycles = [], []
    for region in regions(workload, loop.tile):
        rows, columns = region.extents
        counts.append(workload.blocks * workload.batch * rows * columns)
        part = DepthwiseTile(region.rows[2], region.columns[2], loop.tile.vectors)
        cycles.append(attrs.evolve(loop, tile=part).cycles(workload, lines, machine))
    return makespan(counts, cycles, tasks_sharing(workload, machine, threads))
