"""Grouped convolutions by Winograd's filtering in one kernel: right for every cut, refused with a reason."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import tvm

import schedules
from schedules import ScheduleError
from schedules.winograd import BY_OUTPUTS
from schedules.workload import EpilogueOp, GroupedWinograd
from tests.schedules import reference
from tests.schedules.harness import AVX2, host_targets, run

LANES = 8
COLUMNS, ROWS = 20, 16
ROW = COLUMNS * LANES
TARGETS = host_targets()
BIAS_RELU = (EpilogueOp("add_vector"), EpilogueOp("relu"))
SMALL = GroupedWinograd(
    outputs=2,
    clusters=2,
    reads=1,
    writes=1,
    lanes=LANES,
    width=LANES,
    virtual_channels=6,
    tiles=5,
    row_stride=ROW,
    column_stride=LANES,
)


def arguments(workload: GroupedWinograd, seed: int = 0) -> dict[str, np.ndarray]:
    """Random operands at scattered addresses; what must not be written is NaN."""
    generator = np.random.default_rng(seed)
    plane, sources = ROWS * ROW, workload.clusters * workload.reads
    vectors, pixels = workload.clusters * workload.vectors, workload.tiles * workload.outputs**2
    origins = [(generator.integers(ROWS - 6) * COLUMNS + generator.integers(COLUMNS - 6)) * LANES]
    origins += [(generator.integers(ROWS - 6) * COLUMNS + i) * LANES for i in range(workload.tiles - 1)]
    lanes_read = workload.reads * workload.lanes
    return {
        "x": generator.standard_normal(sources * plane).astype(np.float32),
        "xo": (generator.permutation(sources) * plane).astype(np.int32),
        "xp": np.array(origins, np.int32),
        "ct": generator.integers(lanes_read, size=(vectors, workload.virtual_channels)).astype(np.int32),
        "k": generator.standard_normal(
            (workload.points * vectors * workload.width, workload.virtual_channels)
        ).astype(np.float32),
        "yo": (generator.permutation(workload.blocks) * pixels * LANES).astype(np.int32),
        "yp": (generator.permutation(pixels) * LANES).astype(np.int32),
        "y": np.full(workload.blocks * pixels * LANES + 3, np.nan, np.float32),
        "e0": generator.standard_normal(workload.blocks * LANES).astype(np.float32),
    }


def check(workload: GroupedWinograd, target: tvm.target.Target, threads: int = 1, **decisions: int) -> None:
    given = arguments(workload)
    kernel = schedules.build(workload, target, threads)
    if decisions:
        kernel = schedules.build(workload, target, threads, {**kernel.decisions, **decisions})
    expected = reference.expected(workload, given, given["k"])
    actual = run(kernel, {**given, "k": schedules.pack_weights(kernel, given["k"])}, target)
    scale = np.nanmax(np.abs(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t.attrs["mcpu"]))
@pytest.mark.parametrize("outputs", sorted(BY_OUTPUTS))
@pytest.mark.parametrize("reads, writes, width", [(1, 1, 8), (1, 2, 4), (2, 1, 8), (2, 3, 4)])
def test_clusters_and_vectors(
    outputs: int, reads: int, writes: int, width: int, target: tvm.target.Target
) -> None:
    check(attrs.evolve(SMALL, outputs=outputs, reads=reads, writes=writes, width=width), target)


@pytest.mark.parametrize("strip", [1, 2, 3, 5, 7])
def test_strips_that_do_not_divide_the_tiles(strip: int) -> None:
    check(attrs.evolve(SMALL, epilogue=BIAS_RELU), TARGETS[0], strip=strip)


@pytest.mark.parametrize("unroll", [1, 2, 3, 6])
def test_sums_in_several_steps(unroll: int) -> None:
    check(SMALL, TARGETS[0], unroll=unroll)


@pytest.mark.parametrize("clusters, tiles", [(1, 15), (15, 1), (3, 8)])
def test_tasks_share_clusters_and_strips(clusters: int, tiles: int) -> None:
    workload = attrs.evolve(SMALL, outputs=4, clusters=clusters, tiles=tiles)
    kernel = schedules.build(workload, TARGETS[0], threads=2)
    assert schedules.build(workload, TARGETS[0], 2, {**kernel.decisions, "strip": 4}).tasks == 2
    check(workload, TARGETS[0], threads=2, strip=4)


def test_little_work_is_left_to_one_task() -> None:
    assert schedules.build(attrs.evolve(SMALL, tiles=1), TARGETS[0], threads=2).tasks == 1


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"unroll": 4}, "unroll 4 does not divide 6 virtual channels"),
        ({"strip": 16}, "a strip of 16 tiles does not fit the registers"),
    ],
)
def test_decisions_that_do_not_fit(change: dict[str, int], reason: str) -> None:
    workload = attrs.evolve(SMALL, tiles=40)
    decisions = {**schedules.build(workload, AVX2).decisions, **change}
    with pytest.raises(ScheduleError, match=reason):
        schedules.build(workload, AVX2, decisions=decisions)


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ScheduleError, match="no Winograd form with 3 x 3 outputs"):
        schedules.build(attrs.evolve(SMALL, outputs=3), AVX2)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ScheduleError, match="grouped Winograd"):
        schedules.pack_weights(schedules.build(SMALL, AVX2), np.zeros((3, 6), np.float32))


@pytest.mark.parametrize("tiles", [1, 4, 16, 49, 196])
@pytest.mark.parametrize("channels", [4, 8, 32, 128])
def test_default_strips_fit_and_are_candidates(tiles: int, channels: int) -> None:
    for target in (AVX2, TARGETS[0]):
        machine = schedules.machine_of(target)
        for width in (4, machine.lanes):
            workload = attrs.evolve(
                SMALL, lanes=machine.lanes, width=width, virtual_channels=channels, tiles=tiles
            )
            template = schedules.registry.template_of(workload, target)
            candidates = template.candidates(workload, machine, 1)
            for name, value in template.defaults(workload, machine, 1).items():
                assert value in candidates[name]
            assert schedules.modelled_cycles(workload, machine) > 0
