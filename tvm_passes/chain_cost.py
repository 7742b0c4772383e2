"""What a step or a chain of stages costs, modelled: cycles of one core, and bytes that are alive meanwhile.

Cycles are those that tiling changes: besides what the arithmetic takes in strips and as a whole,

    + every call of a kernel, and rows that are carried in rings
    + weights that the tiles before have displaced from the second cache
    - tensors that no longer leave the second cache: rings instead of planes

The arithmetic hides most of what moves between caches, so bytes are counted at the speed that remains.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import attrs

import schedules
from schedules.machine import MachineParameters
from schedules.parallelism import HAND_OVER_CYCLES
from schedules.workload import IndexedConv

from .lowering.steps import StageStep, Step, Tensor
from .overwrite import overwritten
from .place import bytes_of, lifespans, wants_a_place
from .placement import Blocked
from .row_tiles import Ring, RowTiles, row_tiles

_CALL_CYCLES = 300.0
"""To call a kernel and start its loops, with tables and weights that lie in the second cache."""
_CARRY_BYTES_PER_CYCLE = 16.0
_BEYOND_L2_BYTES_PER_CYCLE = 24.0
"""What is not hidden behind arithmetic counts as moved at this speed."""
_OF_L2 = 0.75
"""Share of the second cache that a chain can count on."""
_ITEM = 4


@attrs.frozen
class Cost:
    """cycles: of one core, of what tiling changes; bytes: that are alive at once."""

    cycles: float
    bytes: int


class Costs:
    """Of the segments of a program."""

    def __init__(self, steps: Sequence[Step], machine: MachineParameters, threads: int) -> None:
        self.steps = steps
        self.machine = machine
        self.threads = threads
        self._call = _CALL_CYCLES + (HAND_OVER_CYCLES if threads > 1 else 0)
        spans = lifespans(steps)
        self._spans = {tensor: span for tensor, span in spans.items() if wants_a_place(tensor)}
        self._over = overwritten(steps, self._spans)

    def alone(self, number: int) -> Cost:
        """Of a step as it is."""
        step = self.steps[number]
        saved = 0
        if isinstance(step, StageStep) and step.output in self._over:
            saved = bytes_of(step.output)
        return Cost(
            self._step_cycles(step), sum(bytes_of(t) for t in self._alive(number, number + 1)) - saved
        )

    def tiled(self, first: int, last: int, height: int) -> RowTiles:
        """The steps from `first` to before `last` as a chain; the last one's tiles have `height` rows."""
        stages = [step for step in self.steps[first:last] if isinstance(step, StageStep)]
        elsewhere = {
            step.output
            for step in stages
            if (span := self._spans.get(step.output)) is not None and span[1] >= last
        }
        return row_tiles(stages, elsewhere, height)

    def of_chain(self, first: int, last: int, tiles: RowTiles) -> Cost:
        """Of these steps as a chain."""
        rolling = {tensor: ring for ring in tiles.rings for tensor in ring.tensors}
        planes = [tensor for tensor in self._alive(first, last) if tensor not in rolling]
        rings = sum(_ring_bytes(tensor, ring) for tensor, ring in rolling.items())
        cycles = sum(
            self._strip_cycles(step, cuts) for step, cuts in zip(tiles.stages, tiles.cuts, strict=True)
        )
        cycles += sum(_carried_bytes(tiles, ring) for ring in tiles.rings) / _CARRY_BYTES_PER_CYCLE
        weights = sum(_weight_bytes(step) for step in tiles.stages)
        if weights + rings > _OF_L2 * self.machine.l2_bytes:
            cycles += tiles.tiles * (weights + rings) / _BEYOND_L2_BYTES_PER_CYCLE
        cycles += sum(self._traffic_cycles(step, rolling) for step in tiles.stages)
        return Cost(cycles, sum(map(bytes_of, planes)) + rings)

    def _alive(self, first: int, last: int) -> list[Tensor]:
        """Tensors of the arena that are alive while these steps run."""
        return [t for t, (begin, end) in self._spans.items() if begin < last and end >= first]

    def _step_cycles(self, step: Step) -> float:
        if not isinstance(step, StageStep):
            return 0.0
        cycles = self._call + self._traffic_cycles(step)
        return cycles + self._conv_cycles(step, step.stage.shape[0] * step.stage.shape[2])

    def _strip_cycles(self, step: StageStep, cuts: Sequence[int]) -> float:
        images = step.stage.shape[0]
        strips = [end - start for start, end in pairwise(cuts) if end > start]
        return images * sum(self._call + self._conv_cycles(step, rows) for rows in strips)

    def _conv_cycles(self, step: StageStep, rows: int) -> float:
        """Of a convolution's arithmetic in so many rows; other stages take as long in strips."""
        stage = step.stage
        if stage.kind != "convolution" or step.winograd is not None:
            return 0.0
        assert stage.weight is not None
        workload = IndexedConv(
            virtual_channels=stage.weight[0].size,
            blocks=step.output.blocks,
            lanes=step.output.extent.lanes,
            pixels=rows * stage.shape[3],
        )
        return schedules.modelled_cycles(workload, self.machine, self.threads)

    def _traffic_cycles(self, step: StageStep, in_cache: Collection[Tensor] = ()) -> float:
        """Of tensors that the step reads or writes, and that are larger than the second cache."""
        large = [
            bytes_of(tensor)
            for tensor in step.tensors
            if tensor not in in_cache
            and wants_a_place(tensor)
            and bytes_of(tensor) > _OF_L2 * self.machine.l2_bytes
        ]
        return sum(large) / _BEYOND_L2_BYTES_PER_CYCLE


def _ring_bytes(tensor: Blocked, ring: Ring) -> int:
    return _ITEM * tensor.blocks * ring.kept * tensor.geometry.row_stride


def _carried_bytes(tiles: RowTiles, ring: Ring) -> int:
    """Bytes that move within a ring, of all its tensors and images."""
    rows = 0
    for tensor in ring.tensors:
        row = _ITEM * tensor.blocks * tensor.geometry.row_stride
        rows += row * sum(carried.stop - carried.start for _, carried in tiles.carries(ring, tensor))
    return rows * tiles.stages[0].stage.shape[0]


def _weight_bytes(step: StageStep) -> int:
    """Of the weights in the form that the kernel reads."""
    weight = step.stage.weight
    if weight is None:
        return 0
    if step.winograd is None:
        return int(weight.nbytes)
    taps = weight.shape[2] * weight.shape[3]
    return int(weight.nbytes * step.winograd.form.size**2 // taps)
