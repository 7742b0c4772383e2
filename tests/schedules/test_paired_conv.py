"""The paired convolution against numpy, for every shape of remainder, and how exact it is."""

from __future__ import annotations

import re

import attrs
import numpy as np
import pytest
import tvm

import schedules
from schedules.paired_products import HEADER, Pairing, pair_channels
from schedules.sharing import tasks_of
from schedules.workload import Epilogue, EpilogueOp, PairedConv
from tests.schedules import reference
from tests.schedules.fetches import fetched_from
from tests.schedules.harness import AVX2, AVX512, host_targets, run
from tvm_passes.lowering.convolution_part import of_pixels

LANES = 16
ZEN3 = tvm.target.Target({"kind": "llvm", "mcpu": "znver3"})
BIAS_RELU: Epilogue = (EpilogueOp("add_vector"), EpilogueOp("relu"))
ADD_BLOCK: Epilogue = (EpilogueOp("add_vector"), EpilogueOp("add", access="block"), EpilogueOp("relu"))

executed = pytest.mark.skipif(AVX512 not in host_targets(), reason="this machine does not execute AVX-512")


def operands(
    rng: np.random.Generator, channels: int, pixels: int, magnitude: float = 1.0, row: int = 1, rows: int = 1
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], Pairing]:
    """(x [pixels, channels], memory, tables, pairing): channels in some lanes of lines, NaN elsewhere.

    Pixels of a row lie one after the other, so many rows with a halo between them, the last such block first.
    """
    lines = channels // LANES + 3
    offsets = np.sort(rng.permutation(lines * LANES)[:channels])
    x = (rng.standard_normal((pixels, channels)) * magnitude).astype(np.float32)
    halo, count = rows > 1, pixels // (rows * row)
    memory = np.full((count * rows * (row + halo), lines * LANES), np.nan, np.float32)
    heads = np.add.outer(np.roll(np.arange(count), 1) * rows, np.arange(rows)).ravel() * (row + halo)
    places = np.add.outer(heads, np.arange(row)).ravel()
    memory[places[:, None], offsets] = x
    pairing = pair_channels(offsets, LANES)
    assert pairing is not None
    tables = {
        "ct": offsets[pairing.order].astype(np.int32),
        "pt": (places * lines * LANES).astype(np.int32),
        "line": pairing.lines.astype(np.int32).ravel(),
        "sign": pairing.signs.ravel(),
    }
    return x, memory.ravel(), tables, pairing


def largest_error(
    channels: int,
    blocks: int,
    pixels: int,
    epilogue: Epilogue = (),
    decisions: schedules.Decisions | None = None,
    threads: int = 1,
    magnitude: float = 1.0,
    row: int = 1,
    rows: int = 1,
) -> float:
    """Over the largest output."""
    rng = np.random.default_rng(channels)
    x, memory, tables, pairing = operands(rng, channels, pixels, magnitude, row, rows)
    plain = PairedConv(channels, len(pairing.lines), blocks, LANES, pixels, epilogue)
    workload = of_pixels(plain, tables["pt"])
    assert isinstance(workload, PairedConv)
    assert (row in (1, pixels) or workload.run == row) and workload.rows == rows
    kernel = schedules.build(workload, AVX512, threads, decisions)
    weights = rng.standard_normal((blocks * LANES, channels)).astype(np.float32) / np.float32(channels**0.5)
    arguments = {
        "x": memory,
        **tables,
        "k": schedules.pack_weights(kernel, weights[:, pairing.order]),
        **reference.scattered_output(rng, blocks, pixels, LANES),
        **reference.epilogue_arguments(rng, epilogue, blocks, LANES, pixels),
    }
    sums = (weights.astype(np.float64) @ x.T).reshape(blocks, LANES, pixels).transpose(0, 2, 1)
    expected = reference.store(reference.apply_epilogue(epilogue, sums, arguments), arguments)
    actual = run(kernel, arguments, AVX512)
    assert (np.isnan(actual) == np.isnan(expected)).all()
    return float(np.nanmax(np.abs(actual - expected)) / np.nanmax(np.abs(expected)))


@executed
@pytest.mark.parametrize(
    ("channels", "blocks", "pixels", "epilogue"),
    [
        (24, 1, 1, ()),
        (25, 2, 49, BIAS_RELU),
        (64, 3, 33, ADD_BLOCK),
        (80, 5, 10, BIAS_RELU),
        (147, 2, 7, ()),
        (176, 11, 21, ADD_BLOCK),
        (512, 1, 12, ()),
    ],
)
def test_against_numpy(channels: int, blocks: int, pixels: int, epilogue: Epilogue) -> None:
    assert largest_error(channels, blocks, pixels, epilogue) < 3e-6


@executed
@pytest.mark.parametrize(
    ("pixel_tile", "columns", "panel", "unroll"),
    [(1, 1, 1, 1), (7, 3, 3, 2), (10, 2, 6, 4), (3, 7, 2, 1), (3, 4, 6, 1), (2, 8, 3, 2)],
)
def test_it_follows_decisions(pixel_tile: int, columns: int, panel: int, unroll: int) -> None:
    decisions = {
        "pixel_tile": pixel_tile,
        "columns": columns,
        "panel": panel,
        "unroll": unroll,
        "threads": 1,
    }
    assert largest_error(50, 6, 20, BIAS_RELU, decisions) < 3e-6


@executed
@pytest.mark.parametrize(
    ("pixels", "row"),
    [(49, 7), (112, 28), (112, 14), (64, 16), (33, 33), (30, 15), (26, 13), (17, 17), (34, 17)],
)
def test_pixels_in_runs(pixels: int, row: int) -> None:
    """Rows that columns divide and rows that they do not, and planes that are one run."""
    assert largest_error(58, 3, pixels, ADD_BLOCK, row=row) < 3e-6
    assert largest_error(58, 3, pixels, BIAS_RELU, threads=2, row=row) < 3e-6
    assert largest_error(58, 3, pixels, row=row, magnitude=1e-3) < 1e-5


@executed
@pytest.mark.parametrize(
    ("pixels", "row", "rows"),
    [(49, 7, 7), (64, 8, 8), (98, 7, 7), (128, 8, 8), (36, 4, 3), (55, 5, 11), (14, 2, 7)],
)
def test_several_rows_in_a_column(pixels: int, row: int, rows: int) -> None:
    """Of one image and of two; rows that fill columns, and rows that leave some."""
    assert largest_error(58, 3, pixels, ADD_BLOCK, row=row, rows=rows) < 3e-6
    assert largest_error(58, 3, pixels, BIAS_RELU, threads=2, row=row, rows=rows) < 3e-6
    assert largest_error(58, 3, pixels, row=row, rows=rows, magnitude=1e-3) < 1e-5


@pytest.mark.parametrize(
    ("pixels", "run", "rows", "tile"),
    [
        (784, 28, 1, 14),
        (256, 16, 1, 16),
        (64, 8, 1, 8),
        (64, 8, 8, 16),
        (128, 8, 8, 16),
        (49, 7, 1, 7),
        (49, 7, 7, 14),
        (98, 7, 7, 7),
        (49, 49, 1, 13),
        (121, 11, 1, 11),
    ],
)
def test_columns_of_runs(pixels: int, run: int, rows: int, tile: int) -> None:
    """They have one address, so that sums take the registers."""
    workload = PairedConv(96, 2, 4, LANES, pixels, run=run, step=LANES, rows=rows, row_step=9 * LANES)
    kernel = schedules.build(workload, AVX512)
    assert kernel.decisions["pixel_tile"] == tile
    assert schedules.build(attrs.evolve(workload, run=1, rows=1), AVX512).decisions["pixel_tile"] <= 10
    parts = 1 + (pixels % tile > 0)  # columns, and what is left of them
    assert len(set(re.findall(r"pt_buffer\[[^]]*\]", kernel.func.script()))) <= 2 * parts


@executed
@pytest.mark.parametrize(("blocks", "pixels"), [(12, 10), (12, 49), (7, 49), (12, 200)])
def test_tasks_share_it(blocks: int, pixels: int) -> None:
    assert largest_error(96, blocks, pixels, BIAS_RELU, threads=2) < 3e-6
    assert largest_error(96, blocks, pixels, BIAS_RELU, threads=3) < 3e-6


@pytest.mark.parametrize(
    ("channels", "blocks", "pixels"), [(232, 14, 49), (960, 10, 49), (464, 29, 49), (58, 4, 784)]
)
def test_it_is_shared_whatever_the_blocks(channels: int, blocks: int, pixels: int) -> None:
    """By columns where they are many, else by blocks, whether or not these divide evenly."""
    kernel = schedules.build(PairedConv(channels, channels // 2, blocks, LANES, pixels), AVX512, 2)
    assert tasks_of(kernel.func) == 2


@pytest.mark.parametrize(("columns", "panel"), [(7, 2), (2, 2), (7, 1), (7, 6), (1, 3)])
def test_weights_are_fetched_before_they_are_used(columns: int, panel: int) -> None:
    """Those of every panel but the first, and as many behind the last, which are the next step's."""
    channels, blocks = 13, 6
    workload = PairedConv(channels, 2, blocks, LANES, 37, BIAS_RELU)
    decisions = {"pixel_tile": 5, "columns": columns, "panel": panel, "unroll": 1, "threads": 1}
    kernel = schedules.build(workload, AVX512, 1, decisions)
    rows = [start // LANES for start in fetched_from("k_buffer", kernel.func)]
    begin, end = ((channels + HEADER) * block for block in (panel, blocks + panel))
    assert set(range(begin, end)) <= set(rows)
    assert set(rows) <= set(range(begin, end + 1))  # equal shares of an odd number


def test_fetches_are_bursts_between_sums() -> None:
    """A loop that fetched in each of its steps would lose its order of loads."""
    workload = PairedConv(1026, 2, 8, LANES, 49, BIAS_RELU)
    script = schedules.build(workload, AVX512, 1).func.script()
    bursts = [
        part.count("llvm.prefetch") for part in re.split(r"\n *for ", script) if "llvm.prefetch" in part
    ]
    assert bursts
    assert min(bursts) > 1


@executed
@pytest.mark.parametrize("magnitude", [1e-30, 1e-4, 0.01, 0.1, 1.0, 10.0, 100.0, 1e4, 1e30])
def test_no_input_costs_accuracy(magnitude: float) -> None:
    """What is far from the magnitude the weights are scaled to is not paired."""
    assert largest_error(384, 2, 40, magnitude=magnitude) < 1e-5


@executed
@pytest.mark.parametrize("side", [0, 1])
def test_one_channel_of_a_pair_far_from_the_others(side: int) -> None:
    """A large channel that no output uses costs the others nothing."""
    channels, pixels = 48, 10
    rng = np.random.default_rng(5)
    x, memory, tables, pairing = operands(rng, channels, pixels)
    far = pairing.order[side]
    x[:, far] = 1e6
    memory[np.add.outer(tables["pt"], tables["ct"])] = x[:, pairing.order]
    weights = rng.standard_normal((LANES, channels)).astype(np.float32)
    weights[:, far] = 0.0
    kernel = schedules.build(PairedConv(channels, len(pairing.lines), 1, LANES, pixels), AVX512)
    arguments = {
        "x": memory,
        **tables,
        "k": schedules.pack_weights(kernel, weights[:, pairing.order]),
        "yo": np.zeros(1, np.int32),
        "yp": (np.arange(pixels) * LANES).astype(np.int32),
        "y": np.full(pixels * LANES, np.nan, np.float32),
    }
    expected = x.astype(np.float64) @ weights.astype(np.float64).T
    np.testing.assert_allclose(run(kernel, arguments, AVX512), expected.ravel(), atol=1e-4)


@pytest.mark.parametrize(
    ("workload", "target", "reason"),
    [
        (PairedConv(64, 2, 4, 8, 49), AVX2, "additions share the ports of multiply-adds"),
        (PairedConv(64, 2, 4, 8, 49), ZEN3, "additions do not take one scalar from memory"),
        (PairedConv(64, 2, 4, 8, 49), AVX512, "blocks of 8 lanes, a vector has 16"),
        (PairedConv(5, 1, 4, 16, 49), AVX512, "5 channels, a group has 6"),
        (PairedConv(64, 2, 4, 16, 49, dtype="float16"), AVX512, "only float32"),
    ],
)
def test_it_refuses(workload: PairedConv, target: object, reason: str) -> None:
    refusal = schedules.refusal(workload, target)
    assert refusal is not None and reason in refusal


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"unroll": 3}, "unroll 3 does not divide 10 groups"),
        ({"panel": 3}, "panel 3 does not divide 4 blocks"),
        ({"pixel_tile": 14}, "14 pixels have more addresses than 10 registers"),
        ({"pixel_tile": 20}, "20 pixels have more sums than half of 32 registers"),
    ],
)
def test_decisions_that_do_not_fit(changed: dict[str, int], reason: str) -> None:
    decisions = {"pixel_tile": 8, "columns": 1, "unroll": 1, "panel": 4, "threads": 1, **changed}
    with pytest.raises(schedules.ScheduleError, match=reason):
        schedules.build(PairedConv(64, 2, 4, 16, 49), AVX512, decisions=decisions)
