"""Every kind of kernel against numpy, on every instruction set this machine has, with scattered addresses.

Outputs that a kernel must not write are NaN in the expected buffer, so stray stores are seen.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm

import schedules
from schedules.workload import (
    Elementwise,
    Epilogue,
    EpilogueOp,
    GlobalPool,
    IndexedConv,
    WindowPool,
    WindowSum,
)
from tests.schedules import reference
from tests.schedules.fetches import fetched_from
from tests.schedules.harness import host_targets, indexed_conv_decisions, run

TARGETS = [pytest.param(target, id=str(target.attrs["mcpu"])) for target in host_targets()]
BIAS_RELU: Epilogue = (EpilogueOp("add_vector"), EpilogueOp("relu"))
ADD_BLOCK: Epilogue = (EpilogueOp("add_vector"), EpilogueOp("add", access="block"), EpilogueOp("relu"))

pytestmark = pytest.mark.parametrize("target", TARGETS)


def lanes_of(target: tvm.target.Target) -> int:
    return schedules.machine_of(target).lanes


def check(actual: reference.Array, expected: reference.Array) -> None:
    """Absolute tolerance for sums of up to a few thousand products of standard normal numbers."""
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-4)


@pytest.mark.parametrize(
    ("channels", "blocks", "pixels", "tables", "epilogue"),
    [
        (1, 1, 1, 1, ()),
        (13, 1, 49, 1, BIAS_RELU),
        (16, 6, 64, 1, BIAS_RELU),
        (27, 2, 33, 1, ()),
        (147, 4, 40, 1, ADD_BLOCK),
        (37, 5, 53, 1, BIAS_RELU),
        (64, 7, 1, 1, BIAS_RELU),
        (100, 63, 1, 1, ()),
        (72, 8, 30, 8, BIAS_RELU),
        (9, 12, 17, 3, ADD_BLOCK),
        (512, 3, 9, 1, ()),
    ],
)
def test_indexed_conv(
    target: tvm.target.Target, channels: int, blocks: int, pixels: int, tables: int, epilogue: Epilogue
) -> None:
    workload = IndexedConv(channels, blocks, lanes_of(target), pixels, tables, epilogue)
    check_indexed_conv(workload, target)


@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
def test_indexed_conv_of_any_channel_block(target: tvm.target.Target, lanes: int) -> None:
    check_indexed_conv(IndexedConv(20, 3, lanes, 11, 1, BIAS_RELU), target)


@pytest.mark.parametrize(
    ("pixel_tile", "block_tile", "unroll", "panel"), [(1, 1, 1, 1), (7, 2, 2, 2), (5, 2, 4, 1), (13, 1, 6, 7)]
)
def test_indexed_conv_follows_decisions(
    target: tvm.target.Target, pixel_tile: int, block_tile: int, unroll: int, panel: int
) -> None:
    decisions = indexed_conv_decisions(pixel_tile, block_tile, unroll, panel)
    workload = IndexedConv(24, 7, lanes_of(target), 23, 1, BIAS_RELU)
    assert schedules.build(workload, target, decisions=decisions).decisions == decisions
    check_indexed_conv(workload, target, decisions)


@pytest.mark.parametrize(
    ("tables", "block_tile", "panel", "chunk", "x_tiles", "threads"),
    [(1, 2, 1, 75, 2, 1), (1, 1, 3, 15, 2, 1), (1, 1, 3, 75, 3, 2), (1, 2, 1, 5, 2, 2), (3, 1, 3, 25, 2, 1)],
)
def test_indexed_conv_fetches_later_pixels(
    target: tvm.target.Target,
    tables: int,
    block_tile: int,
    panel: int,
    chunk: int,
    x_tiles: int,
    threads: int,
) -> None:
    workload = IndexedConv(96, 6, lanes_of(target), 300, tables, BIAS_RELU)
    decisions = indexed_conv_decisions(4, block_tile, 2, panel, chunk=chunk, x_tiles=x_tiles, threads=threads)
    assert "prefetch" in schedules.build(workload, target, decisions=decisions).func.script()
    check_indexed_conv(workload, target, decisions)


@pytest.mark.parametrize(("channels", "x_tiles", "pixels"), [(96, 1, 23), (90, 2, 23), (96, 2, 4)])
def test_nothing_is_fetched_ahead_of_nothing(
    target: tvm.target.Target, channels: int, x_tiles: int, pixels: int
) -> None:
    """Not if it is not decided, not for parts of channel blocks, not without a later tile."""
    decisions = indexed_conv_decisions(4, 1, 2, 1, chunk=9, x_tiles=x_tiles)
    kernel = schedules.build(IndexedConv(channels, 2, lanes_of(target), pixels), target, decisions=decisions)
    assert "prefetch" not in kernel.func.script()


@pytest.mark.parametrize("tables", [1, 5])
@pytest.mark.parametrize("chunk", [1, 3, 4, 12])
@pytest.mark.parametrize("threads", [1, 2])
def test_indexed_conv_in_chunks_of_pixels(
    target: tvm.target.Target, tables: int, chunk: int, threads: int
) -> None:
    """Those that divide the tiles of pixels, and the next smaller ones."""
    workload = IndexedConv(160, 15, lanes_of(target), 51, tables, ADD_BLOCK)
    decisions = indexed_conv_decisions(4, 1, 4, 3, chunk=chunk, k_panels=2, threads=threads)
    check_indexed_conv(workload, target, decisions)


@pytest.mark.parametrize("panels", [4, 5])
@pytest.mark.parametrize("threads", [1, 2])
def test_weights_beyond_the_second_cache_come_once(
    target: tvm.target.Target, panels: int, threads: int
) -> None:
    """All pixels of a panel before the next panel; unless threads cannot share the panels evenly."""
    machine, channels = schedules.machine_of(target), 256
    blocks = (1 + machine.l2_bytes // (4 * channels * machine.lanes * panels)) * panels
    workload = IndexedConv(channels, blocks, machine.lanes, 13, 1, BIAS_RELU)
    decisions = indexed_conv_decisions(5, 1, 4, blocks // panels, chunk=2, threads=threads)
    script = schedules.build(workload, target, decisions=decisions).func.script()
    once = panels % threads == 0
    loop = f"T.parallel({panels})" if threads > 1 else f"range({panels})"
    assert (loop in script) == once
    check_indexed_conv(workload, target, decisions)


@pytest.mark.parametrize("chunk", [6, 3])
@pytest.mark.parametrize(("channels", "pixels"), [(96, 37), (40, 37), (512, 40)])
def test_weights_are_fetched_before_they_are_used(
    target: tvm.target.Target, channels: int, pixels: int, chunk: int
) -> None:
    """Those of every panel but the first, as many behind the last, and the first one's for the next chunk."""
    lanes = lanes_of(target)
    blocks, panel = 6, 2
    decisions = indexed_conv_decisions(6, 1, 4, panel, chunk=chunk, k_panels=2)
    kernel = schedules.build(IndexedConv(channels, blocks, lanes, pixels), target, decisions=decisions)
    fetched = fetched_from("k_buffer", kernel.func)
    line, size = 64 // 4, panel * channels * lanes
    lines = {start // line for start in fetched}
    assert all(start % line == 0 for start in fetched)
    assert set(range(size // line, (blocks + panel) * size // panel // line)) <= lines
    assert max(lines) < (blocks + 2 * panel) * size // panel // line
    assert (0 in lines) == (chunk < 6)


def test_each_task_fetches_the_weights_that_it_reads(target: tvm.target.Target) -> None:
    """Where tasks share the pixels: all of the next panel."""
    lanes, channels = lanes_of(target), 128
    decisions = indexed_conv_decisions(6, 1, 4, 2, chunk=40, k_panels=2, threads=2)
    kernel = schedules.build(IndexedConv(channels, 6, lanes, 240), target, 2, decisions)
    assert kernel.tasks == 2
    of_panel = 2 * channels * lanes // 16
    for task in range(2):
        lines = {start // 16 for start in fetched_from("k_buffer", kernel.func, task)}
        assert lines == set(range(of_panel, 4 * of_panel))


def test_indexed_conv_in_threads(target: tvm.target.Target) -> None:
    workload = IndexedConv(256, 9, lanes_of(target), 230, 1, ADD_BLOCK)
    kernel = schedules.build(workload, target, threads=2)
    assert "T.parallel" in kernel.func.script()
    check_indexed_conv(workload, target, kernel.decisions)


def test_one_thread_means_no_parallel_loop(target: tvm.target.Target) -> None:
    kernel = schedules.build(IndexedConv(256, 9, lanes_of(target), 230), target, threads=1)
    assert "T.parallel" not in kernel.func.script()


def check_indexed_conv(
    workload: IndexedConv, target: tvm.target.Target, decisions: schedules.Decisions | None = None
) -> None:
    rng = np.random.default_rng(workload.virtual_channels)
    blocks, lanes, pixels = workload.blocks, workload.lanes, workload.pixels
    kernel = schedules.build(workload, target, decisions=decisions)
    weights = rng.standard_normal((blocks * lanes, workload.virtual_channels)).astype(np.float32)
    arguments = {
        "x": rng.standard_normal(reference.INPUT_SIZE).astype(np.float32),
        "ct": reference.table(rng, workload.tables, workload.virtual_channels),
        "pt": reference.table(rng, pixels),
        "k": schedules.pack_weights(kernel, weights),
        **reference.scattered_output(rng, blocks, pixels, lanes),
        **reference.epilogue_arguments(rng, workload.epilogue, blocks, lanes, pixels),
    }
    check(run(kernel, arguments, target), reference.expected(workload, arguments, weights))


@pytest.mark.parametrize(
    ("blocks", "batch", "rows", "columns", "row_taps", "column_taps", "threads"),
    [(1, 1, 1, 1, 1, 1, 1), (3, 2, 3, 7, 3, 3, 1), (2, 1, 5, 8, 2, 5, 1), (8, 2, 20, 21, 3, 3, 2)],
)
def test_window_pool(
    target: tvm.target.Target,
    blocks: int,
    batch: int,
    rows: int,
    columns: int,
    row_taps: int,
    column_taps: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(columns)
    lanes, pixels = lanes_of(target), batch * rows * columns
    workload = WindowPool(blocks, lanes, batch, rows, columns, row_taps, column_taps, BIAS_RELU)
    kernel = schedules.build(workload, target, threads)
    assert ("T.parallel" in kernel.func.script()) == (threads > 1)
    arguments = {
        "x": rng.standard_normal(reference.INPUT_SIZE).astype(np.float32),
        "xo": reference.table(rng, blocks),
        "xn": reference.table(rng, batch),
        "row": reference.table(rng, rows, row_taps),
        "col": reference.table(rng, columns, column_taps),
        **reference.scattered_output(rng, blocks, pixels, lanes),
        **reference.epilogue_arguments(rng, BIAS_RELU, blocks, lanes, pixels),
    }
    check(run(kernel, arguments, target), reference.expected(workload, arguments))


@pytest.mark.parametrize(
    ("blocks", "batch", "rows", "columns", "row_taps", "column_taps", "read_columns", "threads"),
    [
        (1, 1, 1, 1, 1, 1, 1, 1),
        (3, 2, 3, 7, 2, 3, 5, 1),
        (2, 1, 5, 8, 11, 9, 13, 1),
        (8, 2, 20, 21, 3, 2, 11, 2),
    ],
)
def test_window_sum(
    target: tvm.target.Target,
    blocks: int,
    batch: int,
    rows: int,
    columns: int,
    row_taps: int,
    column_taps: int,
    read_columns: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(columns)
    lanes, pixels = lanes_of(target), batch * rows * columns
    taps = (row_taps, column_taps, read_columns, lanes + 2)
    workload = WindowSum(blocks, lanes, batch, rows, columns, *taps, BIAS_RELU)
    kernel = schedules.build(workload, target, threads)
    assert ("T.parallel" in kernel.func.script()) == (threads > 1)
    arguments = {
        "x": rng.standard_normal(reference.INPUT_SIZE).astype(np.float32),
        "xo": reference.table(rng, blocks),
        "xn": reference.table(rng, batch),
        "row": reference.table(rng, rows, row_taps),
        "row_weight": rng.standard_normal(rows * row_taps).astype(np.float32),
        "col": reference.table(rng, columns, column_taps, limit=read_columns),
        "col_weight": rng.standard_normal(columns * column_taps).astype(np.float32),
        **reference.scattered_output(rng, blocks, pixels, lanes),
        **reference.epilogue_arguments(rng, BIAS_RELU, blocks, lanes, pixels),
    }
    check(run(kernel, arguments, target), reference.expected(workload, arguments))


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(
    ("blocks", "batch", "pixels", "threads"), [(1, 1, 1, 1), (11, 2, 49, 1), (40, 3, 600, 2)]
)
def test_global_pool(
    target: tvm.target.Target, kind: str, blocks: int, batch: int, pixels: int, threads: int
) -> None:
    rng = np.random.default_rng(pixels)
    lanes = lanes_of(target)
    workload = GlobalPool(kind, blocks, lanes, batch, pixels)  # type: ignore[arg-type]
    kernel = schedules.build(workload, target, threads)
    assert ("T.parallel" in kernel.func.script()) == (threads > 1)
    arguments = {
        "x": rng.standard_normal(reference.INPUT_SIZE).astype(np.float32),
        "xo": reference.table(rng, blocks),
        "xn": reference.table(rng, batch),
        "xp": reference.table(rng, pixels),
        **reference.scattered_output(rng, blocks, batch, lanes),
    }
    check(run(kernel, arguments, target), reference.expected(workload, arguments))


@pytest.mark.parametrize("access", ["block", "lane"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("blocks", "pixels", "epilogue", "threads"),
    [(1, 1, (), 1), (3, 37, (EpilogueOp("relu"),), 1), (37, 19, ADD_BLOCK, 1), (64, 800, (), 2)],
)
def test_elementwise(
    target: tvm.target.Target,
    access: str,
    planar: bool,
    blocks: int,
    pixels: int,
    epilogue: Epilogue,
    threads: int,
) -> None:
    rng = np.random.default_rng(pixels)
    lanes = 1 if planar else lanes_of(target)
    workload = Elementwise(blocks, lanes, pixels, access, epilogue)  # type: ignore[arg-type]
    kernel = schedules.build(workload, target, threads)
    assert ("T.parallel" in kernel.func.script()) == (threads > 1)
    arguments = {
        "x": rng.standard_normal(reference.INPUT_SIZE).astype(np.float32),
        "xb": reference.table(rng, blocks),
        "xl": reference.table(rng, blocks * lanes),
        "xp": reference.table(rng, pixels),
        **reference.scattered_output(rng, blocks, pixels, lanes),
        **reference.epilogue_arguments(rng, epilogue, blocks, lanes, pixels),
    }
    check(run(kernel, arguments, target), reference.expected(workload, arguments))
