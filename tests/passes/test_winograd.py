"""3 x 3 convolutions by Winograd's form: right at every edge, chosen where it pays, refused with a reason."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from tvm import relax

import schedules
from tests.machines import AVX512
from tests.passes.modules import (
    check_compiled,
    check_planned,
    conv,
    joined,
    lone_convolution,
    module,
    planned,
    random_weight,
    reference,
    tensors,
)
from tvm_passes.canonicalize import canonicalize
from tvm_passes.fuse import fuse
from tvm_passes.geometry import Extent
from tvm_passes.lower import lower
from tvm_passes.lowering.context import KernelCall
from tvm_passes.lowering.winograd_plan import WinogradPlan
from tvm_passes.lowering.winograd_plan import plan_winograd as plan
from tvm_passes.placement import Blocked, natural_positions

MACHINE = schedules.machine_of(AVX512)
RANDOM = np.random.default_rng(7)


def weight(*shape: int) -> np.ndarray:
    return random_weight(RANDOM, *shape)


def kinds(program: object) -> list[str]:
    return [step.kind for step in program.steps]  # type: ignore[attr-defined]


def network(height: int, width: int, batch: int = 1, padding: int = 1, channels: int = 64):
    """A pointwise convolution (so that blocks are read) and a 3 x 3 one with bias, residual and ReLU."""

    def body(emit, x):
        y = emit(relax.op.nn.relu(emit(conv(x, weight(channels, 16, 1, 1)))))
        z = emit(conv(y, weight(channels, channels, 3, 3), padding))
        z = emit(relax.op.add(z, relax.const(weight(1, channels, 1, 1))))
        if padding == 1:
            z = emit(relax.op.add(z, y))
        return emit(relax.op.nn.relu(z))

    return module([(batch, 16, height, width)], body)


@pytest.mark.parametrize("height, width", [(16, 16), (17, 18), (19, 21), (30, 13)])
def test_planes_that_tiles_do_not_fill(height: int, width: int) -> None:
    assert "winograd_conv" in kinds(check_planned(network(height, width), 2e-5))


def test_batches_and_valid_convolutions() -> None:
    assert "winograd_conv" in kinds(check_planned(network(14, 15, batch=3), 2e-5))
    assert "winograd_conv" in kinds(check_planned(network(18, 18, padding=0), 2e-5))


def test_channels_from_several_tensors() -> None:
    def body(emit, x):
        parts = [emit(relax.op.nn.relu(emit(conv(x, weight(c, 16, 1, 1))))) for c in (20, 44)]
        return emit(conv(emit(joined(*parts)), weight(64, 64, 3, 3), 1))

    assert "winograd_conv" in kinds(check_planned(module([(1, 16, 16, 16)], body), 2e-5))


def test_it_can_be_switched_off() -> None:
    assert "winograd_conv" not in kinds(check_planned(network(16, 16), winograd=False))


@pytest.mark.parametrize("size, channels, form", [(32, 64, "4x4"), (14, 256, "4x4"), (7, 512, "2x2")])
def test_the_error_is_bounded(size: int, channels: int, form: str) -> None:
    """Below 1e-5 of the largest output."""
    mod = network(size, size, channels=channels)
    (output,) = reference(mod, tensors(mod, 2))
    assert np.isfinite(output).all()
    check_compiled(mod, 1e-5)
    steps = planned(mod, AVX512).steps
    assert any(step.name.startswith(f"winograd_input_{form}") for step in steps)


def _stage(kernel: int = 3, strides: int = 1, channels: int = 64, size: int = 16, groups: int = 1):
    return lone_convolution(RANDOM, kernel, strides, channels, size, groups)


class _View:
    """What planning asks of an operand, without a planned program around it."""

    def __init__(self, blocks: int | None) -> None:
        self.extent = attrs.make_class("Extent", ["lanes"])(MACHINE.lanes)
        self._blocks = blocks

    def block_view(self):
        made = attrs.make_class("Blocks", ["blocks"])
        return None if self._blocks is None else made((None,) * self._blocks)


def _plan(stage, blocks: int | None = 4, threads: int = 1, machine=MACHINE) -> WinogradPlan | str:
    n, channels, rows, columns = stage.shape
    positions, count = natural_positions(channels, MACHINE.lanes)
    output = Blocked("y", Extent(n, rows, columns, MACHINE.lanes), positions, count)
    return plan(stage, _View(blocks), output, machine, threads)


@pytest.mark.parametrize(
    "stage, blocks, threads, reason",
    [
        (_stage(kernel=1), 4, 1, "not a dense 3 x 3 convolution of stride 1"),
        (_stage(strides=2), 4, 1, "not a dense 3 x 3 convolution of stride 1"),
        (_stage(groups=4), 4, 1, "not a dense 3 x 3 convolution of stride 1"),
        (_stage(), None, 1, "its operand does not lie in whole blocks"),
        (_stage(size=6), 4, 1, "its plane has too few tiles"),
        (_stage(channels=4), 1, 1, "the direct form is modelled to be as fast"),
        # eight tasks multiply faster than 16 MiB of filters arrive
        (_stage(size=7, channels=512), 512 // MACHINE.lanes, 8, "the direct form is modelled to be as fast"),
    ],
)
def test_refusals(stage, blocks: int | None, threads: int, reason: str) -> None:
    assert _plan(stage, blocks, threads) == reason


def test_chunks_are_small_and_cover_the_tiles_evenly() -> None:
    made = _plan(_stage(size=56))
    assert isinstance(made, WinogradPlan)
    tiles = (-(-56 // made.form.outputs)) ** 2
    assert 5 <= made.chunk <= 32
    assert tiles <= -(-tiles // made.chunk) * made.chunk <= 1.02 * tiles
    assert made.patches.bytes + made.products.bytes <= MACHINE.l2_bytes


def test_filters_that_arrive_slowly_are_read_by_larger_chunks() -> None:
    stage, blocks = _stage(size=28, channels=256), 256 // MACHINE.lanes
    machines = (attrs.evolve(MACHINE, stream_bytes_per_cycle=rate) for rate in (100.0, 2.0))
    fast, slow = (_plan(stage, blocks, machine=machine) for machine in machines)
    assert isinstance(fast, WinogradPlan) and isinstance(slow, WinogradPlan)
    assert fast.chunk < 10 < slow.chunk


@pytest.mark.parametrize("tiles, chunk", [(7, 7), (9, 5), (14, 7), (15, 5), (1, 1)])
def test_other_numbers_of_tiles_take_as_few_chunks_as_scratch_allows(tiles: int, chunk: int) -> None:
    made = _plan(_stage(size=28))
    assert isinstance(made, WinogradPlan)
    assert attrs.evolve(made, chunk=7).in_chunks(tiles).chunk == chunk


def test_each_task_has_scratch_of_its_own() -> None:
    """13 rows and columns of tiles: one of two tasks has 84 of them, the other one 85."""
    alone, shared = (_plan(_stage(size=52), threads=threads) for threads in (1, 2))
    assert isinstance(alone, WinogradPlan) and isinstance(shared, WinogradPlan)
    assert (alone.parts, shared.parts) == (1, 2)
    first, second = (shared.of_part(part).patches for part in (0, 1))
    assert first.address and second.address
    assert second.address.offset - first.address.offset == shared.patches.bytes // 2
    assert shared.patches.bytes // 2 // shared.chunk == alone.patches.bytes // alone.chunk
    assert shared.in_common.chunk == 2 * shared.chunk


def _winograd_call(size: int, threads: int) -> KernelCall:
    lowered = lower(fuse(canonicalize(network(size, size))), AVX512, threads, {})
    (call,) = (call for call in lowered.calls if call.record.kind == "winograd_conv")
    return call


@pytest.mark.usefixtures("threads_pay")
def test_tasks_with_tiles_of_their_own_meet_nobody() -> None:
    (runs,) = _winograd_call(26, threads=2).phases
    assert len(runs) == 2
    assert {invocation.tasks for run in runs for invocation in run} == {1}


@pytest.mark.usefixtures("threads_pay")
def test_few_tiles_are_shared() -> None:
    """49 tiles are less than seven for each of eight tasks."""
    patches, products, outputs = _winograd_call(14, threads=8).phases
    assert len(patches) == len(outputs) == 1 and patches[0][0].tasks == 8
    assert len(products) == 16 and {run[0].tasks for run in products} == {1}


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("size, threads", [(26, 2), (26, 3), (26, 4), (14, 3), (52, 1), (56, 1), (44, 2)])
def test_tiles_that_tasks_or_chunks_do_not_divide(size: int, threads: int) -> None:
    assert "winograd_conv" in kinds(check_planned(network(size, size), 2e-5, threads=threads))
