"""Analytic choice of the paired convolution's decisions: modelled cycles, the fewest wins."""

from __future__ import annotations

from functools import cache

from schedules.busiest import busiest
from schedules.machine import MachineParameters
from schedules.paired_products import ADDITIONS, GROUP, HEADER, MULTIPLY_ADDS
from schedules.parallelism import makespan, worth_threads
from schedules.template import tiles
from schedules.workload import PairedConv
from schedules.x86.register_tile import weights_stay

LARGEST_CHUNK = 4096
"""Pixels: what is kept of each lies on the stack."""
_STEP_OVERHEAD = 1.0
"""Cycles of a step besides loads and arithmetic, where addresses of pixels leave no registers."""
_COLUMN_OVERHEAD = 16.0
"""Cycles to start and leave the sums of a column."""
_LINE_CYCLES = 4.0
"""Of the products and bounds of a line of x, where one vector is loaded in a cycle."""
_HALVING_CYCLES = 2.0
"""To add one half of the lanes of a pixel's products to the other."""


def _column_cycles(workload: PairedConv, pixels: int, blocks: int, machine: MachineParameters) -> float:
    """Of one column with so many blocks: the busiest of multiply-adds, additions, loads and latency."""
    groups, rest = divmod(workload.virtual_channels, GROUP)
    parts = (
        pixels * MULTIPLY_ADDS / machine.fma_ports,
        pixels * ADDITIONS / machine.add_ports,
        pixels * GROUP / 2 + GROUP / machine.load_ports,
        float(machine.fma_latency * MULTIPLY_ADDS),
    )
    # With one address, registers are left for what waits: the parts overlap.
    step = max(parts) if workload.has_known_distances(pixels) else busiest(*parts) + _STEP_OVERHEAD
    block = groups * step + rest * max(pixels / machine.fma_ports, machine.fma_latency)
    block += _COLUMN_OVERHEAD + pixels * (len(workload.epilogue) + 1)
    line = _LINE_CYCLES / machine.for_lanes(workload.line_lanes).load_ports
    halvings = workload.line_lanes.bit_length() - 1
    return blocks * block + pixels * (workload.lines * line + halvings * _HALVING_CYCLES)


def _cycles(workload: PairedConv, tile: int, machine: MachineParameters, tasks: int, blocks: int) -> float:
    """Until the last of the tasks is through that share the columns, each of so many blocks."""
    runs = tiles(workload.pixels, tile)
    counts = [count // size for _, count, size in runs]
    return makespan(counts, [_column_cycles(workload, size, blocks, machine) for _, _, size in runs], tasks)


def _by_columns(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> float:
    """Where threads share the columns."""
    return _cycles(workload, tile, machine, threads, workload.blocks)


def _by_blocks(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> float:
    """Where they share the blocks, and each of them sums the products of all columns."""
    return _cycles(workload, tile, machine, 1, -(-workload.blocks // threads))


def _total_cycles(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> float:
    alone = _by_columns(workload, tile, machine, 1)
    if not worth_threads(alone, threads):
        return alone
    share = _by_columns if shares_columns(workload, tile, machine, threads) else _by_blocks
    return share(workload, tile, machine, threads)


@cache
def cheapest_column(workload: PairedConv, machine: MachineParameters, threads: int) -> tuple[int, float]:
    """(pixels, modelled cycles of the workload) of the best column."""
    costs = {
        tile: _total_cycles(workload, tile, machine, threads) for tile in candidate_columns(workload, machine)
    }
    tile = min(costs, key=lambda tile: (costs[tile], tile))
    return tile, costs[tile]


def modelled_cycles(workload: PairedConv, machine: MachineParameters, threads: int) -> float:
    """Of the workload with its best column: to compare with other ways to compute the same."""
    return cheapest_column(workload, machine, threads)[1]


def candidate_columns(workload: PairedConv, machine: MachineParameters) -> list[int]:
    """Pixels whose addresses and sums stay in registers."""
    most = min(workload.pixels, machine.vector_registers // 2)
    return [tile for tile in range(1, most + 1) if refuse_column(workload, tile, machine) is None]


def refuse_column(workload: PairedConv, tile: int, machine: MachineParameters) -> str | None:
    """Why a column cannot have so many pixels; None if it can."""
    if tile > machine.vector_registers // 2:
        return f"{tile} pixels have more sums than half of {machine.vector_registers} registers"
    if tile > machine.address_registers and not workload.has_known_distances(tile):
        return f"{tile} pixels have more addresses than {machine.address_registers} registers"
    return None


def weight_bytes(workload: PairedConv) -> int:
    """Of one block."""
    return 4 * workload.lanes * (HEADER + workload.virtual_channels)


def columns_of_chunk(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> int:
    """Columns whose x the second cache keeps while all panels sweep over them.

    In equally many chunks for each thread; all columns where threads share the blocks.
    """
    whole, chunks = max(1, workload.pixels // tile), _chunks(workload, tile, machine)
    if shares_columns(workload, tile, machine, threads):
        chunks = -(-chunks // threads) * threads
    return -(-whole // chunks)


def shares_columns(workload: PairedConv, tile: int, machine: MachineParameters, threads: int) -> bool:
    """Whether threads share the columns: where these are dealt out evenly, and each keeps all weights."""
    if _chunks(workload, tile, machine) > 1:
        return True
    even = _by_columns(workload, tile, machine, threads) <= _by_blocks(workload, tile, machine, threads)
    return even and weights_stay(workload, machine)


def _chunks(workload: PairedConv, tile: int, machine: MachineParameters) -> int:
    """x takes a quarter of the second cache, or all of it if weights only stream through: then every chunk
    fetches them again.
    """
    whole = max(1, workload.pixels // tile)
    room = machine.l2_bytes // (4 if weights_stay(workload, machine) else 1)
    fitting = room // (tile * workload.virtual_channels * 4)
    return -(-whole // min(max(1, fitting), LARGEST_CHUNK // tile))
