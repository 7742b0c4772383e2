"""Normalizations and softmax against numpy in float64, with channels, blocks and pixels scattered.

Lanes that no channel takes hold NaN and large numbers: they must not reach the others.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm

import schedules
from schedules.workload import Epilogue, EpilogueOp, GroupNorm, LayerNorm, Softmax
from tests.schedules import reference
from tests.schedules.harness import host_targets, run

TARGETS = [pytest.param(target, id=str(target.attrs["mcpu"])) for target in host_targets()]
SCALE_SHIFT_ADD: Epilogue = (
    EpilogueOp("multiply_vector"),
    EpilogueOp("add_vector"),
    EpilogueOp("add", access="block"),
)
EPSILON = 1e-5
GARBAGE = np.array([np.nan, 3e38, -np.inf], np.float32)

pytestmark = pytest.mark.parametrize("target", TARGETS)


def scattered_input(
    rng: np.random.Generator,
    positions: np.ndarray,
    blocks: int,
    lanes: int,
    batch: int,
    pixels: int,
    offset: float,
) -> dict[str, np.ndarray]:
    """`x` with tables per block, batch element and pixel; garbage but at `positions`."""
    gap = 5
    xo = rng.permutation(blocks) * (batch * pixels * lanes + gap)
    xn = rng.permutation(batch) * pixels * lanes
    xp = rng.permutation(pixels) * lanes
    x = rng.choice(GARBAGE, blocks * (batch * pixels * lanes + gap))
    values = (rng.standard_normal((len(positions), batch * pixels)) + offset).astype(np.float32)
    plane = (xn[:, None] + xp).reshape(-1)
    x[(xo[positions // lanes] + positions % lanes)[:, None] + plane] = values
    tables = {"xo": xo, "xn": xn, "xp": xp}
    return {"x": x, **{name: table.astype(np.int32) for name, table in tables.items()}}


def check(
    workload: LayerNorm | GroupNorm | Softmax,
    arguments: dict[str, np.ndarray],
    positions: np.ndarray,
    target: tvm.target.Target,
    rng: np.random.Generator,
    pixels: int,
    threads: int = 1,
) -> None:
    """Run the kernel: what is right where channels lie, and written nowhere else than in their blocks."""
    blocks, lanes = workload.blocks, workload.lanes
    arguments |= reference.scattered_output(rng, blocks, pixels, lanes)
    arguments |= reference.epilogue_arguments(rng, workload.epilogue, blocks, lanes, pixels)
    expected = reference.expected(workload, arguments)
    kernel = schedules.build(workload, target, threads)
    assert ("T.parallel" in kernel.func.script()) == (threads > 1)
    actual = run(kernel, arguments, target)
    written = np.zeros(len(expected), bool)
    at = arguments["yo"][positions // lanes] + positions % lanes
    written[at[:, None] + arguments["yp"]] = True
    np.testing.assert_allclose(actual[written], expected[written], rtol=2e-5, atol=2e-5)
    untouched = np.isnan(reference.store(np.zeros((blocks, pixels, lanes)), arguments))
    assert np.isnan(actual[untouched]).all()


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize(
    ("spare", "blocks", "pixels", "epilogue", "threads"),
    [(0, 1, 1, (), 1), (3, 1, 19, SCALE_SHIFT_ADD, 1), (5, 5, 37, SCALE_SHIFT_ADD, 1), (0, 24, 600, (), 2)],
)
def test_layer_norm(
    target: tvm.target.Target,
    spare: int,
    blocks: int,
    pixels: int,
    epilogue: Epilogue,
    threads: int,
    offset: float,
) -> None:
    rng = np.random.default_rng(pixels)
    lanes = schedules.machine_of(target).lanes
    channels = blocks * lanes - spare
    positions = rng.permutation(blocks * lanes)[:channels]
    arguments = scattered_input(rng, positions, blocks, lanes, 1, pixels, offset)
    arguments["used"] = np.isin(np.arange(blocks * lanes), positions).astype(np.float32)
    workload = LayerNorm(channels, blocks, lanes, pixels, EPSILON, epilogue)
    check(workload, arguments, positions, target, rng, pixels, threads)


@pytest.mark.parametrize("offset", [0.0, -1e3])
@pytest.mark.parametrize(
    ("groups", "channels", "batch", "pixels", "epilogue"),
    [(1, 1, 1, 1, ()), (1, 37, 2, 49, SCALE_SHIFT_ADD), (37, 1, 1, 25, ()), (5, 7, 2, 30, SCALE_SHIFT_ADD)],
)
def test_group_norm(
    target: tvm.target.Target,
    groups: int,
    channels: int,
    batch: int,
    pixels: int,
    epilogue: Epilogue,
    offset: float,
) -> None:
    lanes = schedules.machine_of(target).lanes
    blocks = -(-groups * channels // lanes)
    check_group_norm(
        target, GroupNorm(groups, channels, 1, blocks, lanes, batch, pixels, EPSILON, epilogue), offset
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_group_norm_by_clusters(target: tvm.target.Target, threads: int) -> None:
    """Every cluster of two blocks has three groups to itself, and lanes of none."""
    lanes = schedules.machine_of(target).lanes
    pixels = 2000 * threads - 1999
    workload = GroupNorm(9, lanes // 2, 3, 6, lanes, 2, pixels, EPSILON, SCALE_SHIFT_ADD)
    check_group_norm(target, workload, 3.0, threads)


def check_group_norm(target: tvm.target.Target, workload: GroupNorm, offset: float, threads: int = 1) -> None:
    rng = np.random.default_rng(workload.pixels)
    blocks, lanes, batch, pixels = workload.blocks, workload.lanes, workload.batch, workload.pixels
    channels, share = workload.groups * workload.channels, blocks * lanes // workload.clusters
    positions = np.concatenate(
        [
            cluster * share + rng.permutation(share)[: channels // workload.clusters]
            for cluster in range(workload.clusters)
        ]
    )
    arguments = scattered_input(rng, positions, blocks, lanes, batch, pixels, offset)
    arguments["member"] = positions.astype(np.int32)
    check(workload, arguments, positions, target, rng, batch * pixels, threads)


def test_clusters_that_share_blocks_are_refused(target: tvm.target.Target) -> None:
    with pytest.raises(schedules.ScheduleError, match="3 blocks are not shared evenly by 2 clusters"):
        schedules.build(GroupNorm(4, 8, 2, 3, 16, 1, 9, EPSILON), target)
    with pytest.raises(schedules.ScheduleError, match="3 groups are not shared evenly by 2 clusters"):
        schedules.build(GroupNorm(3, 8, 2, 4, 16, 1, 9, EPSILON), target)


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize(
    ("spare", "blocks", "pixels", "epilogue", "threads"),
    [(0, 1, 1, (), 1), (3, 7, 29, SCALE_SHIFT_ADD, 1), (1, 16, 400, (), 2)],
)
def test_softmax(
    target: tvm.target.Target,
    spare: int,
    blocks: int,
    pixels: int,
    epilogue: Epilogue,
    threads: int,
    offset: float,
) -> None:
    rng = np.random.default_rng(pixels)
    lanes = schedules.machine_of(target).lanes
    channels = blocks * lanes - spare
    positions = rng.permutation(blocks * lanes)[:channels]
    arguments = scattered_input(rng, positions, blocks, lanes, 1, pixels, offset)
    arguments["used"] = np.isin(np.arange(blocks * lanes), positions).astype(np.float32)
    workload = Softmax(channels, blocks, lanes, pixels, epilogue)
    check(workload, arguments, positions, target, rng, pixels, threads)
