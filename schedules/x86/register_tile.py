"""Analytic choice of the indexed convolution's decisions: modelled cycles, the fewest wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import attrs

from schedules.busiest import busiest
from schedules.machine import MachineParameters
from schedules.parallelism import makespan, worth_threads
from schedules.template import Decisions, ScheduleError, divisors, doublings, largest_divisor, tiles
from schedules.workload import IndexedConv, PairedConv

_LARGEST_CANDIDATE_UNROLL = 16
_STEP_OVERHEAD = 0.1
"""Cycles of a reduction step besides loads and arithmetic: its table entry and share of the loop."""
_TILE_OVERHEAD = 4.0
"""Cycles to start and leave the reduction of a tile."""
_STREAM_BYTES = 32
"""Bytes a cycle that weights beyond the first cache can arrive with."""
_TRAFFIC_PENALTY = 0.1
"""Share of a step lost when weights from the second cache and scalars keep the loads as busy as that."""
_FETCH_STEPS = 32
"""Multiply-adds for every line of x that hide fetching another line."""
_SHORT_SWEEP = 4
"""Tiles of pixels, at most, whose first one's wait for its weights counts."""
_CHUNK_PENALTY = 2
"""How many bytes of x a byte of weights is worth: taps of larger kernels read the same x."""
_REGION_PENALTY = 0.004
"""Share of the whole that a region's own code costs: to compile, to fetch, to predict."""


@attrs.frozen
class RegisterTile:
    """`pixels` by `blocks` accumulators; a block is `vectors` vector registers."""

    pixels: int
    blocks: int
    vectors: int

    @property
    def weights(self) -> int:
        """Weight vectors of one step of the reduction."""
        return self.blocks * self.vectors

    def fits(self, machine: MachineParameters) -> bool:
        """Accumulators, one step's weights and scratch stay in registers, and so do the pixel addresses.

        One weight vector multiplies scalars straight from memory (AVX-512) or broadcast one after the
        other; several share each broadcast. More pixels than address registers are bearable only in a
        column of one weight vector, whose addresses are reloaded in the shadow of the arithmetic.
        """
        embedded = machine.embeds_broadcast and self.weights == 1
        scratch = (0 if embedded else 1) + (0 if machine.has_fma else 1)
        if self.pixels > machine.address_registers and not embedded:
            return False
        return self.pixels * self.weights + self.weights + scratch <= machine.vector_registers

    def holds(self, machine: MachineParameters) -> bool:
        """The accumulators and one weight vector stay in registers: beyond it, every step would spill."""
        return self.pixels * self.weights < machine.vector_registers

    def step_cycles(self, machine: MachineParameters, steps: int) -> float:
        """Of one of so many steps of the reduction: the busiest of arithmetic and loads, or their latency."""
        arithmetic = self.pixels * self.weights / machine.fma_ports
        spilled = max(0, self.pixels - machine.address_registers)
        loads = self.weights / machine.load_ports + (self.pixels + spilled) / 2
        cycles = max(busiest(arithmetic, loads), float(machine.fma_latency))
        traffic = self.weights * machine.lanes * 4 / _STREAM_BYTES + (self.pixels + spilled) / 2
        # What a tile reads leaves the first cache before the next tile reads it, if it is half of that.
        far = min(1.0, 2 * steps * 4 * (self.pixels + self.weights * machine.lanes) / machine.l1_bytes)
        return cycles * (1 + far * _TRAFFIC_PENALTY * (traffic / cycles) ** 2) + _STEP_OVERHEAD

    def cycles(self, machine: MachineParameters, steps: int) -> float:
        """Of one tile, from its addresses to its stores."""
        burst = machine.burst_cycles * (self.pixels * self.weights) ** 2
        return steps * self.step_cycles(machine, steps) + _TILE_OVERHEAD + burst


def _candidates(workload: IndexedConv, machine: MachineParameters) -> Iterator[RegisterTile]:
    vectors = max(1, workload.lanes // machine.lanes)
    group = workload.blocks // workload.tables
    for blocks in range(1, min(workload.blocks, machine.vector_registers) + 1):
        if workload.tables > 1 and group % blocks:
            continue  # All blocks of a tile read through the same table.
        for pixels in range(1, min(workload.pixels, machine.vector_registers) + 1):
            tile = RegisterTile(pixels, blocks, vectors)
            if tile.fits(machine):
                yield tile


def _total_cycles(
    workload: IndexedConv, tile: RegisterTile, machine: MachineParameters, threads: int
) -> float:
    """Of the whole output, remainders included; until the last task is through, if threads share it."""
    counts, cycles = [], []
    for _, blocks, o in tiles(workload.blocks, tile.blocks):
        for _, pixels, p in tiles(workload.pixels, tile.pixels):
            counts.append((blocks // o) * (pixels // p))
            cycles.append(RegisterTile(p, o, tile.vectors).cycles(machine, workload.virtual_channels))
    total = makespan(counts, cycles, 1)
    if worth_threads(total, threads):
        total = makespan(counts, cycles, threads)
    return total * (1 + _REGION_PENALTY * len(counts))


def modelled_cycles(workload: IndexedConv, machine: MachineParameters, threads: int) -> float:
    """Of the workload with its best register tile: to compare workloads that compute the same."""
    return _cheapest(workload, machine.for_lanes(workload.lanes), threads)[1]


@cache
def _cheapest(workload: IndexedConv, machine: MachineParameters, threads: int) -> tuple[RegisterTile, float]:
    costs = {tile: _total_cycles(workload, tile, machine, threads) for tile in _candidates(workload, machine)}
    if not costs:
        raise ScheduleError(f"channel blocks of {workload.lanes} lanes do not fit the registers")
    tile = min(costs, key=lambda tile: (costs[tile], tile.pixels))
    return tile, costs[tile]


def default_decisions(workload: IndexedConv, machine: MachineParameters, threads: int) -> Decisions:
    """The register tile with the fewest modelled cycles; weights for half the second cache.

    Raises ScheduleError if not even one accumulator fits, which only a channel block wider than the
    register file could cause.
    """
    machine = machine.for_lanes(workload.lanes)
    tile, _ = _cheapest(workload, machine, threads)
    tile_bytes = tile.blocks * workload.lanes * workload.virtual_channels * 4
    return {
        "pixel_tile": tile.pixels,
        "block_tile": tile.blocks,
        "unroll": largest_divisor(workload.virtual_channels, machine.unroll),
        "panel": blocks_at_once(workload, tile_bytes, tile.blocks, machine),
        "chunk": tiles_of_chunk(workload, tile, machine, threads),
        "x_tiles": _tiles_on_their_way(workload, tile, machine),
        "k_panels": _panels_on_their_way(workload, tile, machine),
        "threads": threads,
    }


def blocks_at_once(
    workload: IndexedConv | PairedConv, tile_bytes: int, block_tile: int, machine: MachineParameters
) -> int:
    """How many tiles of blocks, of `tile_bytes` of weights each, should share a sweep over the pixels."""
    whole_tiles = workload.blocks // block_tile
    # A panel takes half of the second cache, or what one tile of blocks takes of it. Weights that it cannot
    # hold anyway stream past each tile of x, which it then keeps.
    fits = 4 * tile_bytes <= 3 * machine.l2_bytes
    panel = max(1, machine.l2_bytes // 2 // tile_bytes) if fits else whole_tiles
    # Every block of a panel is a run of memory that is written, and read for each operand of its epilogue.
    runs = block_tile * (1 + sum(op.access is not None for op in workload.epilogue))
    return largest_divisor(whole_tiles, min(panel, max(1, machine.streams // runs)))


def tiles_of_chunk(
    workload: IndexedConv, tile: RegisterTile, machine: MachineParameters, threads: int
) -> int:
    """How many tiles of pixels all panels should sweep over before the next: the second cache keeps their x.

    All of them if weights, which every chunk reads again, are more than the x that every sweep would. Equally
    many in each chunk, and equally many chunks for each thread if that can be.
    """
    count, sweeps = max(1, workload.pixels // tile.pixels), -(-workload.blocks // tile.blocks)
    fitting = machine.l2_bytes // 4 // (tile.pixels * workload.virtual_channels * 4)
    chunks = [count // size for size in divisors(count, max(1, fitting))]
    best = min(chunks, key=lambda number: (number % threads, number))
    read_again = (sweeps - 1) * workload.pixels * workload.virtual_channels * 4
    return count // best if _CHUNK_PENALTY * best * weight_bytes(workload) < read_again else count


def weights_stay(workload: IndexedConv | PairedConv, machine: MachineParameters) -> bool:
    """Whether the second cache holds all weights: then tasks may share the pixels, each reading all of them.

    More would be read from memory by each task, where one task's blocks would do.
    """
    return weight_bytes(workload) <= machine.l2_bytes


def weight_bytes(workload: IndexedConv | PairedConv) -> int:
    """Of all blocks."""
    return 4 * workload.blocks * workload.lanes * workload.virtual_channels


def _tiles_on_their_way(workload: IndexedConv, tile: RegisterTile, machine: MachineParameters) -> int:
    """Two where the second cache cannot hold x, which lies in more runs than the processor follows by itself,
    and there is arithmetic to hide the fetches in.
    """
    beyond = workload.virtual_channels * workload.pixels * 4 > machine.l2_bytes
    many = workload.virtual_channels > machine.streams * workload.lanes
    shared = machine.cache_line // 4 * tile.weights >= _FETCH_STEPS and workload.tables == 1
    return 2 if beyond and many and shared else 1


def _panels_on_their_way(workload: IndexedConv, tile: RegisterTile, machine: MachineParameters) -> int:
    """Two where weights leave the first cache, or few tiles share the wait for them.

    One tile reads weights as fast as they come: a stream that the processor follows by itself.
    """
    leave = weight_bytes(workload) >= machine.l1_bytes
    few = _SHORT_SWEEP * tile.pixels
    return 2 if tile.pixels < workload.pixels and (leave or workload.pixels <= few) else 1


def candidate_decisions(
    workload: IndexedConv, machine: MachineParameters, threads: int
) -> Mapping[str, tuple[int, ...]]:
    """Sides of the register tiles that fit, short unrolls, panels by doubling."""
    tiles_that_fit = list(_candidates(workload, machine.for_lanes(workload.lanes)))
    return {
        "pixel_tile": tuple(sorted({tile.pixels for tile in tiles_that_fit})),
        "block_tile": tuple(sorted({tile.blocks for tile in tiles_that_fit})),
        "unroll": divisors(workload.virtual_channels, _LARGEST_CANDIDATE_UNROLL),
        "panel": doublings(workload.blocks),
        "chunk": doublings(max(1, workload.pixels // machine.address_registers)),
        "x_tiles": (1, 2, 3),
        "k_panels": (1, 2),
        "threads": tuple(sorted({1, threads})),
    }


def check_tile(workload: IndexedConv, decisions: Decisions, machine: MachineParameters) -> None:
    """Raises ScheduleError unless the tile's accumulators fit the registers and its blocks one table."""
    machine = machine.for_lanes(workload.lanes)
    vectors = max(1, workload.lanes // machine.lanes)
    tile = RegisterTile(
        min(decisions["pixel_tile"], workload.pixels), min(decisions["block_tile"], workload.blocks), vectors
    )
    if not tile.holds(machine):
        raise ScheduleError(
            f"{tile.pixels} pixels by {tile.weights} vectors do not fit {machine.vector_registers} registers"
        )
    if workload.tables > 1 and workload.blocks // workload.tables % tile.blocks:
        raise ScheduleError(f"{tile.blocks} blocks of a tile read through different tables")
