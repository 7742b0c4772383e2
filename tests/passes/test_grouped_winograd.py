"""Grouped 3 x 3 convolutions by Winograd's form: right for every grouping, refused with a reason."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from tvm import relax

import schedules
from schedules.workload import GroupedWinograd
from tests.machines import AVX512
from tests.passes.modules import (
    check_compiled,
    check_planned,
    conv,
    joined,
    lone_convolution,
    module,
    random_weight,
)
from tvm_passes.geometry import Extent
from tvm_passes.lowering.grouped_winograd import GroupedWinogradPlan
from tvm_passes.lowering.grouped_winograd import plan_grouped_winograd as plan
from tvm_passes.lowering.groups import VectorGroups, share_tables
from tvm_passes.lowering.vectors import Vectors
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.placement import Blocked, natural_positions
from tvm_passes.tasks import tasks_of
from tvm_passes.tiling import NO_TILING

MACHINE = schedules.machine_of(AVX512)
LANES = MACHINE.lanes
RANDOM = np.random.default_rng(11)


def weight(*shape: int) -> np.ndarray:
    return random_weight(RANDOM, *shape)


def kinds(program: object) -> list[str]:
    return [step.kind for step in program.steps]  # type: ignore[attr-defined]


def network(
    shape: tuple[int, int, int] = (1, 28, 28),
    channels: tuple[int, int] = (64, 64),
    groups: int = 8,
    padding: int = 1,
):
    """A pointwise convolution (so that blocks are read) and a grouped one with bias, residual and ReLU."""
    batch, height, width = shape
    inputs, outputs = channels

    def body(emit, x):
        y = emit(relax.op.nn.relu(emit(conv(x, weight(inputs, 16, 1, 1)))))
        z = emit(conv(y, weight(outputs, inputs // groups, 3, 3), padding, groups=groups))
        z = emit(relax.op.add(z, relax.const(weight(1, outputs, 1, 1))))
        if padding == 1 and inputs == outputs:
            z = emit(relax.op.add(z, y))
        return emit(relax.op.nn.relu(z))

    return module([(batch, 16, height, width)], body)


@pytest.mark.parametrize(
    "channels, groups",
    [
        ((64, 64), 8),
        ((64, 128), 8),
        ((128, 64), 8),
        ((64, 64), 16),
        ((96, 96), 3),
        ((72, 72), 6),
        ((40, 40), 5),
    ],
)
def test_groups_of_every_width(channels: tuple[int, int], groups: int) -> None:
    """Narrower than a vector, wider than a block, across blocks, and with a last block half empty."""
    assert "winograd_conv" in kinds(check_planned(network(channels=channels, groups=groups), 2e-5))


@pytest.mark.parametrize("shape", [(1, 17, 18), (1, 31, 13), (3, 14, 15)])
def test_planes_that_tiles_do_not_fill(shape: tuple[int, int, int]) -> None:
    assert "winograd_conv" in kinds(check_planned(network(shape), 2e-5))


def test_valid_convolutions() -> None:
    assert "winograd_conv" in kinds(check_planned(network((1, 18, 18), padding=0), 2e-5))


def test_channels_from_several_tensors() -> None:
    def body(emit, x):
        parts = [emit(relax.op.nn.relu(emit(conv(x, weight(c, 16, 1, 1))))) for c in (20, 44)]
        return emit(conv(emit(joined(*parts)), weight(64, 8, 3, 3), 1, groups=8))

    assert "winograd_conv" in kinds(check_planned(module([(1, 16, 16, 16)], body), 2e-5))


def test_threads_share_it() -> None:
    assert "winograd_conv" in kinds(check_planned(network((1, 56, 56)), 2e-5, threads=2))


def test_it_can_be_switched_off() -> None:
    assert "winograd_conv" not in kinds(check_planned(network(), winograd=False))


def test_the_error_is_bounded() -> None:
    """Below 1e-5 of the largest output, as for dense convolutions."""
    check_compiled(network((1, 32, 32), channels=(256, 256), groups=4), 1e-5)


def test_it_is_tuned() -> None:
    lowered = lower_module(network(), AVX512, PipelineOptions(tiling=NO_TILING))
    (task,) = [task for task in tasks_of(lowered) if isinstance(task.workload, GroupedWinograd)]
    assert set(task.constants) >= {"xo", "xp", "ct", "yo", "yp"}


def _stage(kernel: int = 3, strides: int = 1, channels: int = 64, size: int = 28, groups: int = 8):
    return lone_convolution(RANDOM, kernel, strides, channels, size, groups)


@attrs.frozen
class _View:
    """What planning asks of an operand, without a planned program around it."""

    extent: Extent
    channels: int | None

    def block_view(self):
        made = attrs.make_class("Blocks", ["positions"])
        return None if self.channels is None else made(np.arange(self.channels))


def _output(channels: int) -> Blocked:
    positions, count = natural_positions(channels, LANES)
    return Blocked("y", Extent(1, 1, 1, LANES), positions, count)


def _plan(stage, blocked: bool = True, threads: int = 1) -> GroupedWinogradPlan | str:
    channels = stage.shape[1]
    view = _View(Extent(1, 1, 1, LANES), channels if blocked else None)
    return plan(stage, view, _output(channels), MACHINE, threads)


@pytest.mark.parametrize(
    "stage, blocked, reason",
    [
        (_stage(kernel=1), True, "not a grouped 3 x 3 convolution of stride 1"),
        (_stage(strides=2), True, "not a grouped 3 x 3 convolution of stride 1"),
        (_stage(groups=1), True, "not a grouped 3 x 3 convolution of stride 1"),
        (_stage(), False, "its operand does not lie in whole blocks"),
        (_stage(size=3), True, "the direct form is modelled to be as fast"),
    ],
)
def test_refusals(stage, blocked: bool, reason: str) -> None:
    assert _plan(stage, blocked) == reason


@pytest.mark.parametrize("groups", [4, 8])
def test_products_are_not_multiplied_by_zero(groups: int) -> None:
    """Vectors are as narrow as a group, where half as many lanes are half the work."""
    made = _plan(_stage(groups=groups))
    assert isinstance(made, GroupedWinogradPlan)
    assert made.workload.virtual_channels == 64 // groups
    assert made.workload.width == min(LANES, 64 // groups)


def test_clusters_read_only_what_their_groups_need() -> None:
    made = _plan(_stage())
    assert isinstance(made, GroupedWinogradPlan)
    assert made.workload.reads == made.workload.writes
    np.testing.assert_array_equal(made.clusters.ravel(), np.arange(64 // LANES))


def test_a_vector_across_groups_sums_over_the_channels_of_all() -> None:
    """Groups of three in vectors of four: one reads two groups, the last its only one twice."""
    output = Blocked("y", Extent(1, 1, 1, 4), np.arange(9), 3)
    groups = VectorGroups.of(3, output, Vectors(4, np.arange(3) * 4))
    tables = groups.tables(np.arange(9).reshape(3, 3))
    assert tables.tolist() == [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8], [6, 7, 8, 6, 7, 8]]
    rows = groups.weights(np.arange(1, 28).reshape(9, 3))
    assert rows[0].tolist() == [1, 2, 3, 0, 0, 0]
    assert rows[3].tolist() == [0, 0, 0, 10, 11, 12]
    assert rows[8].tolist() == [25, 26, 27, 0, 0, 0]
    assert not rows[9:].any()


def test_tables_are_shared_by_runs_of_equal_length() -> None:
    tables = np.array([[1, 2], [1, 2], [3, 4], [3, 4]])
    assert share_tables(tables).tolist() == [[1, 2], [3, 4]]
    assert share_tables(tables[:3]).tolist() == tables[:3].tolist()
