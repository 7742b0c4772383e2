"""Depthwise convolutions against numpy: strides, kernels, dilations, remainders beside and below tiles.

Kernels of up to 25 taps are written out, larger ones are walked through by loops.
"""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st

import schedules
from schedules.workload import Access, Depthwise, Epilogue, EpilogueOp
from schedules.x86.depthwise import DepthwiseTemplate
from schedules.x86.depthwise_lines import Lines, cheapest_loop, lines_of, loops_that_fit
from schedules.x86.depthwise_loop import DepthwiseLoopTemplate
from schedules.x86.depthwise_tile import DepthwiseTile, cheapest_tile, regions, tiles_that_fit
from tests.schedules import reference
from tests.schedules.harness import AVX2, AVX512, host_targets, run

TARGETS = [pytest.param(target, id=str(target.attrs["mcpu"])) for target in host_targets()]
BIAS_CLIP: Epilogue = (EpilogueOp("add_vector"), EpilogueOp("clip", (0.0, 6.0)))
GAP = 3


def add(access: Access) -> Epilogue:
    return (EpilogueOp("add_vector"), EpilogueOp("add", access=access), EpilogueOp("relu"))


@attrs.frozen
class Window:
    """Kernels over planes of `rows` x `columns` outputs, square unless `kernel_columns` says otherwise."""

    kernel: int
    stride: int
    dilation: int
    rows: int
    columns: int
    kernel_columns: int = attrs.field(default=attrs.Factory(lambda self: self.kernel, takes_self=True))

    def workload(self, blocks: int, lanes: int, batch: int, epilogue: Epilogue = ()) -> Depthwise:
        reach = (self.kernel_columns - 1) * self.dilation + 1
        row = ((self.columns - 1) * self.stride + reach) * lanes
        down, beside = (
            [tap * self.dilation for tap in range(taps)] for taps in (self.kernel, self.kernel_columns)
        )
        taps = tuple(y * row + x * lanes for y in down for x in beside)
        step = self.stride
        return Depthwise(
            blocks, lanes, batch, self.rows, self.columns, step * row, step * lanes, taps, epilogue
        )


def check(
    workload: Depthwise,
    target: tvm.target.Target,
    threads: int = 1,
    decisions: schedules.Decisions | None = None,
) -> None:
    """The kernel computes the workload's equation and writes nothing else; what no pixel reads is NaN."""
    rng = np.random.default_rng(workload.pixels)
    blocks, lanes, taps = workload.blocks, workload.lanes, len(workload.taps)
    kernel = schedules.build(workload, target, threads, decisions)
    assert ("T.parallel" in kernel.func.script()) == (threads > 1)
    last = (workload.rows - 1) * workload.row_step + (workload.columns - 1) * workload.column_step
    plane = last + max(workload.taps) + lanes + GAP
    weights = rng.standard_normal((blocks * lanes, taps)).astype(np.float32)
    arguments = {
        "x": rng.standard_normal(blocks * workload.batch * plane).astype(np.float32),
        "xo": (rng.permutation(blocks) * (workload.batch * plane)).astype(np.int32),
        "xn": (rng.permutation(workload.batch) * plane).astype(np.int32),
        "k": schedules.pack_weights(kernel, weights),
        **reference.scattered_output(rng, blocks, workload.pixels, lanes),
        **reference.epilogue_arguments(rng, workload.epilogue, blocks, lanes, workload.pixels),
    }
    expected = reference.expected(workload, arguments, weights)
    np.testing.assert_allclose(run(kernel, arguments, target), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("window", "blocks", "batch", "epilogue"),
    [
        (Window(1, 1, 1, 3, 5), 2, 1, ()),
        (Window(2, 1, 1, 6, 8), 1, 2, add("lane")),
        (Window(3, 1, 1, 7, 7), 3, 2, BIAS_CLIP),
        (Window(3, 1, 1, 1, 1), 2, 1, add("block")),
        (Window(3, 2, 1, 15, 13), 2, 1, add("block")),
        (Window(3, 3, 1, 4, 9), 1, 1, add("channel")),
        (Window(3, 1, 2, 8, 11), 2, 1, BIAS_CLIP),
        (Window(5, 1, 1, 9, 8), 2, 1, BIAS_CLIP),
        (Window(5, 2, 3, 5, 5), 1, 3, ()),
        (Window(7, 1, 1, 7, 6), 1, 1, BIAS_CLIP),
        (Window(7, 2, 1, 3, 4), 2, 1, ()),
        (Window(6, 1, 1, 1, 1), 1, 2, add("lane")),
        (Window(13, 2, 2, 9, 6), 1, 2, BIAS_CLIP),
        (Window(31, 1, 1, 4, 11), 1, 1, add("block")),
        (Window(31, 1, 1, 9, 3, kernel_columns=1), 2, 1, ()),
        (Window(1, 1, 3, 5, 9, kernel_columns=31), 1, 1, BIAS_CLIP),
        (Window(51, 1, 1, 6, 5, kernel_columns=5), 1, 1, ()),
    ],
)
def test_depthwise(
    target: tvm.target.Target, window: Window, blocks: int, batch: int, epilogue: Epilogue
) -> None:
    lanes = schedules.machine_of(target).lanes
    check(window.workload(blocks, lanes, batch, epilogue), target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_any_channel_block(target: tvm.target.Target, lanes: int) -> None:
    check(Window(3, 1, 1, 5, 6).workload(2, lanes, 1, BIAS_CLIP), target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("row_tile", "column_tile"), [(1, 1), (3, 4), (5, 1), (9, 9)])
def test_decisions_are_followed(target: tvm.target.Target, row_tile: int, column_tile: int) -> None:
    """Tiles that leave remainders on both sides, and one larger than the plane."""
    lanes = schedules.machine_of(target).lanes
    decisions = {"row_tile": row_tile, "column_tile": column_tile, "threads": 1}
    check(Window(3, 1, 1, 7, 2).workload(2, lanes, 2, BIAS_CLIP), target, decisions=decisions)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("row_tile", "column_tile", "piece"), [(1, 1, 1), (3, 4, 2), (5, 1, 3), (9, 9, 8), (2, 2, 7)]
)
def test_decisions_of_a_loop_are_followed(
    target: tvm.target.Target, row_tile: int, column_tile: int, piece: int
) -> None:
    """Pieces that divide a line and that do not, and one longer than it."""
    lanes = schedules.machine_of(target).lanes
    decisions = {"row_tile": row_tile, "column_tile": column_tile, "piece": piece, "threads": 1}
    check(Window(6, 1, 1, 7, 2).workload(2, lanes, 2, BIAS_CLIP), target, decisions=decisions)


@pytest.mark.parametrize("target", TARGETS)
def test_threads_share_a_loop(target: tvm.target.Target) -> None:
    lanes = schedules.machine_of(target).lanes
    check(Window(7, 1, 1, 15, 13).workload(8, lanes, 1, BIAS_CLIP), target, threads=2)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("rows", "columns"), [(28, 28), (15, 30)])
def test_threads(target: tvm.target.Target, rows: int, columns: int) -> None:
    """Rows that divide evenly, which are shared alone, and rows that do not."""
    lanes = schedules.machine_of(target).lanes
    check(Window(3, 1, 1, rows, columns).workload(8, lanes, 1, BIAS_CLIP), target, threads=2)


def test_taps_may_lie_anywhere() -> None:
    """Repeated, in no order and on both sides of the pixel."""
    target = host_targets()[0]
    workload = Depthwise(1, schedules.machine_of(target).lanes, 1, 4, 5, 100, 7, (50, 3, 3, 110, 0, 21))
    check(workload, target)


def test_many_taps_that_are_no_lines_are_written_out() -> None:
    target = host_targets()[0]
    taps = (*range(0, 90, 3), 7)
    workload = Depthwise(1, schedules.machine_of(target).lanes, 1, 2, 3, 100, 7, taps)
    assert schedules.build(workload, target).kind == "depthwise"
    check(workload, target)


@pytest.mark.parametrize("target", [AVX2, AVX512], ids=["avx2", "avx512"])
def test_code_does_not_grow_with_the_kernel(target: tvm.target.Target) -> None:
    lanes = schedules.machine_of(target).lanes

    def statements(size: int) -> int:
        decisions = {"row_tile": 2, "column_tile": 4, "piece": 3, "threads": 1}
        workload = Window(size, 1, 1, 14, 14).workload(4, lanes, 1, BIAS_CLIP)
        return len(schedules.build(workload, target, 1, decisions).func.script().splitlines())

    assert statements(31) == statements(7)


@given(
    kernel=st.integers(1, 40),
    kernel_columns=st.integers(1, 40),
    dilation=st.integers(1, 3),
)
def test_every_kernel_is_lines(kernel: int, kernel_columns: int, dilation: int) -> None:
    taps = Window(kernel, 1, dilation, 9, 9, kernel_columns).workload(1, 8, 1).taps
    lines = lines_of(taps)
    assert isinstance(lines, Lines)
    assert lines.offsets == taps
    assert lines.taps >= kernel_columns


@settings(max_examples=30)
@given(
    kernel=st.integers(6, 31),
    stride=st.integers(1, 2),
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
    threads=st.integers(1, 4),
    target=st.sampled_from([AVX512, AVX2]),
)
def test_default_loops_fit(
    kernel: int, stride: int, rows: int, columns: int, threads: int, target: tvm.target.Target
) -> None:
    machine = schedules.machine_of(target)
    workload = Window(kernel, stride, 1, rows, columns).workload(3, machine.lanes, 1)
    loop = cheapest_loop(workload, machine, threads)
    assert loop in set(loops_that_fit(workload, machine))
    assert loop.tile.pixels + loop.piece < machine.vector_registers


@settings(max_examples=40)
@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
    blocks=st.integers(1, 20),
    threads=st.integers(1, 4),
    target=st.sampled_from([AVX512, AVX2]),
)
def test_default_tiles_fit_and_cover_the_plane(
    kernel: int, stride: int, rows: int, columns: int, blocks: int, threads: int, target: tvm.target.Target
) -> None:
    machine = schedules.machine_of(target)
    workload = Window(kernel, stride, 1, rows, columns).workload(blocks, machine.lanes, 1)
    tile = cheapest_tile(workload, machine, threads)
    assert tile.holds(machine)
    assert tile in set(tiles_that_fit(workload, machine))
    covered = np.zeros((rows, columns), int)
    for region in regions(workload, tile):
        (top, height, _), (left, width, _) = region.rows, region.columns
        covered[top : top + height, left : left + width] += 1
    assert (covered == 1).all()


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    rows=st.integers(1, 4),
    columns=st.integers(1, 7),
)
def test_a_tile_reads_every_vector_once(
    kernel: int, stride: int, dilation: int, rows: int, columns: int
) -> None:
    window = Window(kernel, stride, dilation, rows, columns)
    reads = DepthwiseTile(rows, columns).reads(window.workload(1, 16, 1))
    displacements = [displacement for displacement, _ in reads]
    assert displacements == sorted(set(displacements))
    used = [use for _, uses in reads for use in uses]
    assert len(used) == len(set(used)) == rows * columns * kernel**2
    if stride == dilation == 1:
        assert len(reads) == (rows + kernel - 1) * (columns + kernel - 1)


def test_tiles_that_cannot_be_are_refused() -> None:
    decisions = {"row_tile": 4, "column_tile": 8, "threads": 1}
    with pytest.raises(schedules.ScheduleError, match="4 x 8 pixels of 1 vectors do not fit 32 registers"):
        schedules.build(Window(3, 1, 1, 8, 8).workload(1, 16, 1), AVX512, decisions=decisions)


@pytest.mark.parametrize("kernel", [3, 7])
def test_a_block_wider_than_the_registers_is_refused(kernel: int) -> None:
    with pytest.raises(schedules.ScheduleError, match="512 lanes do not fit"):
        schedules.build(Window(kernel, 1, 1, 8, 8).workload(1, 512, 1), AVX512)


def test_a_template_says_which_kernels_it_takes() -> None:
    machine = schedules.machine_of(AVX2)
    large = Window(7, 1, 1, 8, 8).workload(1, 8, 1)
    assert DepthwiseTemplate().applies(large, machine) == "49 taps are too many to write out"
    assert DepthwiseLoopTemplate().applies(large, machine) is None
    scattered = attrs.evolve(large, taps=(0, 5, 6))
    assert DepthwiseTemplate().applies(scattered, machine) is None
    assert DepthwiseLoopTemplate().applies(scattered, machine) == "the taps are no lines of equal steps"
