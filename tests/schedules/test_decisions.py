"""Machine parameters, analytic defaults, names, packing and refusals."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

import schedules
from schedules.peak import measure_fma_peak
from schedules.template import largest_divisor, tiles
from schedules.workload import Elementwise, EpilogueOp, IndexedConv
from schedules.x86.register_tile import RegisterTile, default_decisions
from tests.schedules.harness import AVX2, AVX512, compile_call, executed_targets, indexed_conv_decisions


def test_machine_of_instruction_sets() -> None:
    assert (schedules.machine_of(AVX512).lanes, schedules.machine_of(AVX512).vector_registers) == (16, 32)
    assert (schedules.machine_of(AVX2).lanes, schedules.machine_of(AVX2).vector_registers) == (8, 16)
    oldest = schedules.machine_of(tvm.target.Target({"kind": "llvm", "mcpu": "core2"}))
    assert (oldest.lanes, oldest.has_fma) == (4, False)


def test_machine_of_takes_cores_and_cpu_differences() -> None:
    target = tvm.target.Target({"kind": "llvm", "mcpu": "znver5", "num-cores": 6})
    machine = schedules.machine_of(target)
    assert (machine.cores, machine.fma_ports, machine.l1_bytes) == (6, 2, 48 * 1024)


def test_machine_of_refuses_other_targets() -> None:
    with pytest.raises(schedules.UnknownMachineError, match="'c'"):
        schedules.machine_of(tvm.target.Target({"kind": "c"}))


@given(total=st.integers(1, 500), tile=st.integers(1, 600))
def test_tiles_cover_every_element_once(total: int, tile: int) -> None:
    runs = tiles(total, tile)
    covered = [i for start, count, _ in runs for i in range(start, start + count)]
    assert covered == list(range(total))
    assert all(count % size == 0 and size <= tile for _, count, size in runs)


@given(number=st.integers(1, 5000), limit=st.integers(-3, 100))
def test_largest_divisor(number: int, limit: int) -> None:
    divisor = largest_divisor(number, limit)
    assert number % divisor == 0
    assert all(number % other for other in range(divisor + 1, min(limit, number) + 1))


@settings(max_examples=60)
@given(
    channels=st.integers(1, 5000),
    blocks=st.integers(1, 260),
    pixels=st.integers(1, 13000),
    threads=st.integers(1, 8),
    target=st.sampled_from([AVX512, AVX2]),
)
def test_defaults_fit_registers_and_workload(
    channels: int, blocks: int, pixels: int, threads: int, target: tvm.target.Target
) -> None:
    machine = schedules.machine_of(target)
    decisions = default_decisions(IndexedConv(channels, blocks, machine.lanes, pixels), machine, threads)
    tile = RegisterTile(decisions["pixel_tile"], decisions["block_tile"], 1)
    assert tile.fits(machine)
    assert tile.pixels * tile.blocks + tile.blocks <= machine.vector_registers
    assert tile.pixels <= pixels
    assert tile.blocks <= blocks
    assert channels % decisions["unroll"] == 0
    assert (blocks // tile.blocks) % decisions["panel"] == 0


def test_defaults_keep_enough_independent_chains() -> None:
    """One pixel, as in a fully connected layer: the chains must come from output blocks."""
    machine = schedules.machine_of(AVX512)
    decisions = default_decisions(IndexedConv(2048, 63, 16, 1), machine, 1)
    assert decisions["block_tile"] >= machine.fma_latency * machine.fma_ports


def test_tiles_of_grouped_convolutions_use_one_table() -> None:
    machine = schedules.machine_of(AVX512)
    decisions = default_decisions(IndexedConv(72, 24, 16, 196, tables=12), machine, 1)
    assert 2 % decisions["block_tile"] == 0


def test_large_inputs_are_fetched_ahead() -> None:
    machine = schedules.machine_of(AVX512)
    large = default_decisions(IndexedConv(320, 5, 16, 3136), machine, 1)
    small = default_decisions(IndexedConv(320, 5, 16, 49), machine, 1)
    assert (large["x_tiles"], small["x_tiles"]) == (2, 1)


def test_weights_are_fetched_ahead_where_several_tiles_read_them() -> None:
    """One tile, as in a fully connected layer, reads them as fast as they come."""
    machine = schedules.machine_of(AVX512)
    several = default_decisions(IndexedConv(1024, 63, 16, 49), machine, 1)
    one = default_decisions(IndexedConv(1024, 63, 16, 1), machine, 1)
    assert (several["k_panels"], one["k_panels"]) == (2, 1)


@pytest.mark.parametrize(
    "workload", [IndexedConv(128, 288, 16, 49, tables=36), IndexedConv(147, 4, 16, 545)], ids=["many", "few"]
)
def test_fetching_weights_costs_no_registers(workload: IndexedConv) -> None:
    """Sums of several blocks stay in registers beside fetches: no vector is stored on the stack."""
    decisions = default_decisions(workload, schedules.machine_of(AVX512), 1)
    assert (decisions["k_panels"], decisions["block_tile"]) == (2, 2)
    kernel = schedules.build(workload, AVX512, 1, decisions)
    arrays = [np.zeros(8, np.float32) for _ in kernel.parameters]
    _, _, executable = compile_call(kernel.func, arrays, AVX512)
    assembly = executable.mod.inspect_source("asm")
    assert "prefetcht1" in assembly
    assert not re.findall(r"vmov[au]ps\s+%zmm\d+, -?\d*\(%r[sb]p\)", assembly)


def test_names_are_stable_and_distinct() -> None:
    workload = IndexedConv(16, 2, 16, 49)
    biased = IndexedConv(16, 2, 16, 49, epilogue=(EpilogueOp("add_vector"),))
    names = [schedules.build(w, AVX512).name for w in (workload, workload, biased)]
    names.append(schedules.build(workload, AVX2).name)
    tile = indexed_conv_decisions(3, 1, 2, 1)
    names.append(schedules.build(workload, AVX512, decisions=tile).name)
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert all(name.isidentifier() for name in names)


def test_packed_weights_hold_each_weight_once() -> None:
    workload = IndexedConv(6, 7, 16, 49)
    decisions = indexed_conv_decisions(7, 3, 2, 1)
    kernel = schedules.build(workload, AVX512, decisions=decisions)
    weights = np.arange(7 * 16 * 6, dtype=np.float32).reshape(7 * 16, 6)
    packed = schedules.pack_weights(kernel, weights)
    assert packed.dtype == np.float32
    assert packed.flags["C_CONTIGUOUS"]
    assert sorted(packed) == sorted(weights.ravel())
    # Channel 1 of the first tile: blocks 0, 1, 2, lane by lane.
    np.testing.assert_array_equal(packed[48:96], weights[:48, 1])
    # The last block is a tile of its own.
    np.testing.assert_array_equal(packed[6 * 6 * 16 :][:16], weights[96:, 0])


def test_packing_refuses_other_shapes() -> None:
    kernel = schedules.build(IndexedConv(6, 7, 16, 49), AVX512)
    with pytest.raises(schedules.ScheduleError, match=r"\(3, 6\)"):
        schedules.pack_weights(kernel, np.zeros((3, 6), np.float32))
    copy = schedules.build(Elementwise(1, 16, 4), AVX512)
    with pytest.raises(schedules.ScheduleError, match="no weights"):
        schedules.pack_weights(copy, np.zeros((3, 6), np.float32))


@pytest.mark.parametrize(
    ("workload", "reason"),
    [
        (IndexedConv(6, 7, 16, 49, dtype="int8"), "int8"),
        (IndexedConv(6, 7, 16, 49, tables=2), "evenly"),
        (IndexedConv(6, 7, 16, 49, epilogue=(EpilogueOp("softplus"),)), "softplus"),
        (IndexedConv(6, 7, 16, 49, epilogue=(EpilogueOp("add"),)), "access"),
    ],
)
def test_refusals_say_why(workload: IndexedConv, reason: str) -> None:
    with pytest.raises(schedules.ScheduleError, match=reason):
        schedules.build(workload, AVX512)


@pytest.mark.parametrize(
    "decisions",
    [
        {"pixel_tile": 7, "block_tile": 3},
        indexed_conv_decisions(0, 3, 1, 1),
        {**indexed_conv_decisions(7, 3, 1, 1), "colour": 1},
    ],
)
def test_records_of_another_shape_are_refused(decisions: dict[str, int]) -> None:
    with pytest.raises(
        schedules.ScheduleError,
        match="block_tile, chunk, k_panels, panel, pixel_tile, threads, unroll, x_tiles",
    ):
        schedules.build(IndexedConv(6, 7, 16, 49), AVX512, decisions=decisions)


def test_decisions_that_do_not_fit_are_refused() -> None:
    decisions = indexed_conv_decisions(7, 3, 4, 1)
    with pytest.raises(schedules.ScheduleError, match="unroll 4"):
        schedules.build(IndexedConv(6, 7, 16, 49), AVX512, decisions=decisions)


@pytest.mark.parametrize(
    ("tile", "tables", "reason"),
    [((8, 4), 1, "8 pixels by 4 vectors do not fit 32 registers"), ((7, 3), 4, "different tables")],
)
def test_tiles_that_cannot_be_are_refused(tile: tuple[int, int], tables: int, reason: str) -> None:
    decisions = indexed_conv_decisions(tile[0], tile[1], 1, 1)
    with pytest.raises(schedules.ScheduleError, match=reason):
        schedules.build(IndexedConv(6, 8, 16, 49, tables=tables), AVX512, decisions=decisions)


def test_fma_peak_is_between_scalar_and_impossible() -> None:
    peaks = [measure_fma_peak(target) for target in executed_targets()]
    assert all(8.0 < peak < 1000.0 for peak in peaks)
