"""Analytic choice of the strip of a grouped Winograd convolution: modelled cycles, the fewest wins."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from schedules.machine import MachineParameters
from schedules.parallelism import makespan, worth_threads
from schedules.template import Decisions, ScheduleError, divisors, largest_divisor, tiles
from schedules.winograd import Matrix
from schedules.workload import GroupedWinograd
from schedules.x86.winograd_transform import form_of

_LARGEST_UNROLL = 8
_ITEM = 4
_FACTOR_CYCLES = 0.3
"""Cycles of a transform for each factor of its matrix that is not zero, per row and column of the patch; half
of the operations are shared."""
_MOVE_CYCLES = 0.5
"""Cycles of a vector loaded or stored beside arithmetic."""
_SUM_OVERHEAD = 8.0
"""Cycles to start and leave the sums of one point: they come from the one before and go to the next."""
_STREAM_BYTES = 64
"""Bytes a cycle, as far as arithmetic does not hide them, that come and go beyond the first cache."""
_FAR_BYTES = 8
"""Bytes a cycle of filters that not even the second cache holds from strip to strip."""


def strip_fits(workload: GroupedWinograd, strip: int, machine: MachineParameters) -> bool:
    """Whether the sums of a strip, a vector of filters and a scalar stay in registers."""
    vectors = max(1, workload.width // machine.lanes)
    scratch = (0 if machine.embeds_broadcast else 1) + (0 if machine.has_fma else 1)
    return min(strip, workload.tiles) * vectors + vectors + scratch <= machine.vector_registers


def default_decisions(workload: GroupedWinograd, machine: MachineParameters, threads: int) -> Decisions:
    """The strip of the fewest modelled cycles."""
    return {
        "strip": _cheapest(workload, machine, threads)[0],
        "unroll": largest_divisor(workload.virtual_channels, _LARGEST_UNROLL),
        "threads": threads,
    }


def candidate_decisions(
    workload: GroupedWinograd, machine: MachineParameters, threads: int
) -> Mapping[str, tuple[int, ...]]:
    """Strips that fit the registers, short unrolls."""
    return {
        "strip": _strips(workload, machine),
        "unroll": divisors(workload.virtual_channels, _LARGEST_UNROLL),
        "threads": tuple(sorted({1, threads})),
    }


def modelled_cycles(workload: GroupedWinograd, machine: MachineParameters, threads: int) -> float:
    """Of the workload with its best strip; until the last task is through, if threads share it."""
    return _cheapest(workload, machine, threads)[1]


@cache
def _cheapest(workload: GroupedWinograd, machine: MachineParameters, threads: int) -> tuple[int, float]:
    costs = {s: total_cycles(workload, s, machine, threads) for s in _strips(workload, machine)}
    if not costs:
        raise ScheduleError(f"vectors of {workload.width} lanes do not fit the registers")
    return min(costs.items(), key=lambda item: item[1])


def _strips(workload: GroupedWinograd, machine: MachineParameters) -> tuple[int, ...]:
    largest = min(workload.tiles, machine.vector_registers)
    return tuple(s for s in range(1, largest + 1) if strip_fits(workload, s, machine))


def total_cycles(workload: GroupedWinograd, strip: int, machine: MachineParameters, threads: int) -> float:
    """Of the workload with this strip."""
    runs = tiles(workload.tiles, strip)
    counts = [workload.clusters * (count // tile) for _, count, tile in runs]
    cycles = [_strip_cycles(workload, tile, machine) for _, _, tile in runs]
    total = makespan(counts, cycles, 1)
    shared = max(counts) > 1 and worth_threads(total, threads)
    return makespan(counts, cycles, threads) if shared else total


def _strip_cycles(workload: GroupedWinograd, strip: int, machine: MachineParameters) -> float:
    """Of one strip of one cluster: transforms, products, and what the first cache cannot hold."""
    form, narrow = form_of(workload.outputs), machine.for_lanes(workload.width)
    points, channels, vectors = workload.points, workload.virtual_channels, workload.vectors
    patches = workload.reads * _transform_cycles(form.patch, points)
    outputs = workload.writes * _transform_cycles(form.product, workload.outputs**2)
    registers = max(1, workload.width // machine.lanes)
    step = strip * registers / narrow.fma_ports
    products = vectors * points * (channels * step + _SUM_OVERHEAD)
    moved = _MOVE_CYCLES * vectors * points * registers
    scratch = (workload.reads + workload.writes) * points * strip * workload.lanes * _ITEM
    filters = vectors * points * channels * workload.width * _ITEM
    beyond = max(0.0, 1 - machine.l1_bytes / (scratch + filters))
    streamed = beyond * (2 * scratch + filters) / _STREAM_BYTES
    if filters > machine.l2_bytes:
        streamed += filters / _FAR_BYTES
    return strip * (patches + outputs + moved) / machine.fma_ports + products + streamed


def _transform_cycles(matrix: Matrix, stored: int) -> float:
    """Of the transform of one patch of vectors."""
    rows, size = len(matrix), len(matrix[0])
    factors = np.count_nonzero(matrix)
    return float(_FACTOR_CYCLES * factors * (rows + size) + _MOVE_CYCLES * (size**2 + stored))
