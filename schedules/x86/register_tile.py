"""Analytic choice of the indexed convolution's decisions."""

from __future__ import annotations

import attrs

from schedules.machine import MachineParameters
from schedules.template import Decisions, largest_divisor, tiles
from schedules.parallelism import worth_threads
from schedules.workload import IndexedConv

_LARGEST_UNROLL = 4


@attrs.frozen
class RegisterTile:
    """`pixels` by `blocks` accumulators; a block is `vectors` vector registers."""

    pixels: int
    blocks: int
    vectors: int

    def fits(self, machine: MachineParameters) -> bool:
        """Accumulators and one step's weights, and a product if multiply and add are two instructions."""
        weights = self.blocks * self.vectors
        spare = 0 if machine.has_fma and machine.lanes == 16 else 1
        return self.pixels * weights + weights + spare <= machine.vector_registers

    def cycles(self, machine: MachineParameters) -> float:
        """Of one step of the reduction: the busiest of arithmetic, loads and dependency chains."""
        weights = self.blocks * self.vectors
        arithmetic = self.pixels * weights / machine.fma_ports
        embedded = machine.lanes == 16
        # AVX-512 broadcasts inside the multiply-add, once per use; older sets once per pixel.
        broadcasts = self.pixels * (weights if embedded else 1)
        loads = (weights + broadcasts * 0.5) / machine.load_ports
        return max(arithmetic, loads, machine.fma_latency) + 0.25


def default_decisions(workload: IndexedConv, machine: MachineParameters, threads: int) -> Decisions:
    """The register tile with the fewest modelled cycles over the whole output, remainders included."""
    vectors = max(1, workload.lanes // machine.lanes)
    blocks_of_table = workload.blocks // workload.tables
    best: tuple[float, int, int, int] | None = None
    for block_tile in range(1, machine.vector_registers):
        if workload.tables > 1 and blocks_of_table % block_tile:
            continue
        for pixel_tile in range(1, machine.vector_registers):
            if not RegisterTile(pixel_tile, block_tile, vectors).fits(machine):
                break
            if block_tile > workload.blocks or pixel_tile > workload.pixels:
                break
            cost = sum(
                (blocks // o_tile) * (pixels // p_tile) * RegisterTile(p_tile, o_tile, vectors).cycles(machine)
                for _, blocks, o_tile in tiles(workload.blocks, block_tile)
                for _, pixels, p_tile in tiles(workload.pixels, pixel_tile)
            )
            candidate = (cost, block_tile, -pixel_tile, pixel_tile)
            best = min(best, candidate) if best else candidate
    assert best is not None
    cycles, block_tile, _, pixel_tile = best
    weight_bytes = workload.blocks * workload.lanes * workload.virtual_channels * 4
    return {
        "pixel_tile": pixel_tile,
        "block_tile": block_tile,
        "unroll": largest_divisor(workload.virtual_channels, _LARGEST_UNROLL),
        "pixels_outer": int(weight_bytes <= machine.l2_bytes // 2),
        "parallel": int(worth_threads(cycles * workload.virtual_channels, threads)),
    }
