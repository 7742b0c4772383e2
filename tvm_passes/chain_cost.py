"""What a step or a chain of stages costs, modelled: cycles until it is done, and bytes alive meanwhile.

Besides what the arithmetic takes in strips and as a whole, cycles are those that tiling changes:

    + every call of a kernel, and rows that are carried in rings
    + results that are not written over an operand any more, whose lines would be at hand
    + weights that the tiles before have displaced from the second cache
    - tensors that no longer leave the second cache, or the last one: rings instead of planes

The arithmetic hides most of what moves between caches, so bytes are counted at the speed that remains. Of
what a segment writes and reads, as much has left the last cache before it is read as is more than that
holds. Memory is one for all tasks.
Where tasks share each strip, they meet behind every call, and the longest of their shares counts. Of bands,
the longest counts, with all rows that it computes, and they meet once.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise

import attrs

from schedules.machine import MachineParameters
from schedules.parallelism import HAND_OVER_CYCLES

from .bands import bands_of
from .forms import ANY_FORM, Forms
from .lowering.steps import StageStep, Step
from .lowering.winograd_plan import WinogradPlan
from .overwrite import overwritten
from .place import bytes_of, lifespans, wants_a_place
from .placement import Blocked, Tensor
from .row_tiles import Ring, RowTiles, row_tiles
from .stage_cost import phases, work_cycles

_MEETING_CYCLES = 4.0 * HAND_OVER_CYCLES
"""What tasks lose where they meet, with what one of them waits that the other has been held up."""
_OF_TASKS = 1.03
"""Times as long chains of several tasks take as is modelled, beside stages apart: measured, see ADR 13."""
_OF_L2 = 0.75
"""Share of the second cache that a chain can count on."""
_ITEM = 4


@attrs.frozen
class Cost:
    """cycles: until the last task is through; bytes: that are alive at once."""

    cycles: float
    bytes: int


class Costs:
    """Of the segments of a program."""

    def __init__(
        self, steps: Sequence[Step], machine: MachineParameters, threads: int, forms: Forms = ANY_FORM
    ) -> None:
        self.steps = steps
        self.machine = machine
        self.threads = threads
        self.forms = forms
        spans = lifespans(steps)
        self._cycles_of = cache(self._strip_cycles)  # chains that overlap have strips in common
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
        return row_tiles(self._stages(first, last), self._read_elsewhere(first, last), height)

    def banded(self, first: int, last: int, height: int) -> tuple[RowTiles, ...] | str:
        """The same in a band for every task; or why that cannot be."""
        stages, elsewhere = self._stages(first, last), self._read_elsewhere(first, last)
        return bands_of(stages, elsewhere, height, self.threads)

    def of_chain(self, first: int, last: int, bands: Sequence[RowTiles]) -> Cost:
        """Of these steps as a chain; tasks share its one band, or each has one."""
        rolling = {tensor for ring in bands[0].rings for tensor in ring.tensors}
        planes = [tensor for tensor in self._alive(first, last) if tensor not in rolling]
        cycles = max(self._band_cycles(band, self.threads // len(bands)) for band in bands)
        if len(bands) > 1:
            cycles += _MEETING_CYCLES
        results = {step.output for step in bands[0].stages} - rolling
        elsewhere = sum(bytes_of(tensor) for tensor in results if tensor in self._over)
        cycles += elsewhere / self.machine.copy_bytes_per_cycle / self.threads
        cycles += self._traffic_cycles(bands[0].stages, rolling)
        if self.threads > 1:
            cycles *= _OF_TASKS
        return Cost(cycles, sum(map(bytes_of, planes)) + sum(map(_rings_bytes, bands)))

    def _stages(self, first: int, last: int) -> list[StageStep]:
        return [step for step in self.steps[first:last] if isinstance(step, StageStep)]

    def _read_elsewhere(self, first: int, last: int) -> set[Blocked]:
        """Results of these steps that others read."""
        return {
            step.output
            for step in self._stages(first, last)
            if (span := self._spans.get(step.output)) is not None and span[1] >= last
        }

    def _band_cycles(self, band: RowTiles, threads: int) -> float:
        """Of a band that so many threads share."""
        images = len(band.images)
        cycles = images * sum(
            self._cycles_of(step, end - start, threads)
            for step, cuts in zip(band.stages, band.cuts, strict=True)
            for start, end in pairwise(cuts)
            if end > start
        )
        cycles += sum(_carried_bytes(band, ring) for ring in band.rings) / self.machine.copy_bytes_per_cycle
        held = _rings_bytes(band) + sum(_weight_bytes(step) for step in band.stages)
        if held > _OF_L2 * self.machine.l2_bytes:
            cycles += images * (band.tiles - 1) * held / self.machine.far_bytes_per_cycle
        return cycles

    def _alive(self, first: int, last: int) -> list[Tensor]:
        """Tensors of the arena that are alive while these steps run."""
        return [t for t, (begin, end) in self._spans.items() if begin < last and end >= first]

    def _step_cycles(self, step: Step) -> float:
        if not isinstance(step, StageStep):
            return 0.0
        rows = step.stage.shape[0] * step.stage.shape[2]
        return self._cycles_of(step, rows, self.threads) + self._traffic_cycles([step])

    def _strip_cycles(self, step: StageStep, rows: int, threads: int) -> float:
        """Of so many rows that so many threads share."""
        cycles = self.machine.call_cycles + work_cycles(step, rows, self.machine, threads, self.forms)
        return cycles + (phases(step, rows) * _MEETING_CYCLES if threads > 1 else 0.0)

    def _traffic_cycles(self, steps: Sequence[Step], in_cache: Collection[Tensor] = ()) -> float:
        """Of tensors that these steps read or write, and of which a task's part exceeds its second cache."""
        machine = self.machine
        sizes = [
            {tensor: bytes_of(tensor) for tensor in step.tensors if self._is_large(tensor, in_cache)}
            for step in steps
        ]
        total, distinct = sum(sum(each.values()) for each in sizes), sum(ChainMap(*sizes).values())
        if not total:
            return 0.0
        lost = max(0.0, 1 - machine.l3_bytes / distinct)
        cached, lost_bytes = (1 - lost) * total / machine.far_bytes_per_cycle, lost * total
        return cached / self.threads + lost_bytes / machine.memory_bytes_per_cycle

    def _is_large(self, tensor: Tensor, in_cache: Collection[Tensor]) -> bool:
        if tensor in in_cache or not wants_a_place(tensor):
            return False
        return bytes_of(tensor) / self.threads > _OF_L2 * self.machine.l2_bytes


def _rings_bytes(band: RowTiles) -> int:
    """Of all rows that a band keeps."""
    return sum(
        _ITEM * tensor.blocks * ring.kept * tensor.geometry.row_stride
        for ring in band.rings
        for tensor in ring.tensors
    )


def _carried_bytes(tiles: RowTiles, ring: Ring) -> int:
    """Bytes that move within a ring, of all its tensors and images."""
    rows = 0
    for tensor in ring.tensors:
        row = _ITEM * tensor.blocks * tensor.geometry.row_stride
        rows += row * sum(carried.stop - carried.start for _, carried in tiles.carries(ring, tensor))
    return rows * len(tiles.images)


def _weight_bytes(step: StageStep) -> int:
    """Of the weights that each tile reads once, in the form that the kernel reads.

    Winograd's products read theirs again for every chunk of tiles, in strips and as a whole.
    """
    weight = step.stage.weight
    if weight is None or isinstance(step.winograd, WinogradPlan):
        return 0
    if step.winograd is None:
        return int(weight.nbytes)
    taps = weight.shape[2] * weight.shape[3]
    return int(weight.nbytes * step.winograd.form.size**2 // taps)
