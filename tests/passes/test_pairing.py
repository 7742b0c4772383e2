"""Convolutions whose products are paired: right for any channels, only where allowed, exact for any input."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

from schedules.workload import PairedConv
from tests.machines import AVX512
from tests.passes.modules import (
    check_planned,
    conv,
    execute,
    joined,
    module,
    one_hot,
    planned,
    random_weight,
    reference,
    tensors,
)
from tvm_passes.lowering.convolution_part import of_pixels
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.tasks import tasks_of

RANDOM = np.random.default_rng(11)


def weight(*shape: int) -> np.ndarray:
    return random_weight(RANDOM, *shape)


def paired(program: object) -> list[str]:
    return [step.name for step in program.steps if step.name.startswith("paired_conv")]  # type: ignore[attr-defined]


def pointwise(inputs: int, outputs: int, height: int = 14, width: int = 14, batch: int = 1):
    """A convolution that blocks its channels, and one that reads them, with bias, residual and ReLU."""

    def body(emit, x):
        y = emit(relax.op.nn.relu(emit(conv(x, weight(inputs, 8, 1, 1)))))
        z = emit(conv(y, weight(outputs, inputs, 1, 1)))
        z = emit(relax.op.add(z, relax.const(weight(1, outputs, 1, 1))))
        if inputs == outputs:
            z = emit(relax.op.add(z, y))
        return emit(relax.op.nn.relu(z))

    return module([(batch, 8, height, width)], body)


@pytest.mark.parametrize(
    ("inputs", "outputs", "batch"), [(64, 64, 1), (58, 116, 1), (96, 100, 2), (147, 64, 1), (320, 80, 1)]
)
def test_pointwise_convolutions(inputs: int, outputs: int, batch: int) -> None:
    assert paired(check_planned(pointwise(inputs, outputs, batch=batch), 5e-6))


def test_planes_that_columns_do_not_fill() -> None:
    assert paired(check_planned(pointwise(64, 64, 7, 7), 5e-6))
    assert paired(check_planned(pointwise(64, 64, 5, 11), 5e-6))


def test_it_can_be_switched_off() -> None:
    assert not paired(check_planned(pointwise(64, 64), 5e-6, pairing=False))
    assert not paired(check_planned(pointwise(64, 64), 5e-6, opt_level=0))


def test_shifted_channels() -> None:
    """Channels of a block that are moved by different offsets lie in different lines."""

    def body(emit, x):
        y = emit(relax.op.nn.relu(emit(conv(x, weight(90, 8, 1, 1)))))
        taps = [divmod(channel * 9 // 90, 3) for channel in range(90)]
        moved = emit(conv(y, one_hot(taps), padding=1, groups=90))
        return emit(conv(moved, weight(96, 90, 1, 1)))

    assert paired(check_planned(module([(1, 8, 14, 14)], body), 5e-6))


def test_strided_convolutions_of_larger_kernels() -> None:
    def body(emit, x):
        y = emit(relax.op.nn.relu(emit(conv(x, weight(64, 8, 1, 1)))))
        return emit(relax.op.nn.conv2d(y, relax.const(weight(64, 64, 3, 3)), strides=2, padding=1))

    assert paired(check_planned(module([(1, 8, 15, 15)], body), 5e-6))


def test_channels_from_several_tensors() -> None:
    def body(emit, x):
        parts = [emit(relax.op.nn.relu(emit(conv(x, weight(c, 8, 1, 1))))) for c in (20, 44)]
        return emit(conv(emit(joined(*parts)), weight(64, 64, 1, 1)))

    assert paired(check_planned(module([(1, 8, 14, 14)], body), 5e-6))


def from_image(shape: tuple[int, ...], kernel: int, stride: int, padding: int = 0):
    """A convolution of an input where it lies."""

    def body(emit, x):
        window = relax.const(weight(80, shape[1], kernel, kernel))
        return emit(relax.op.nn.relu(emit(relax.op.nn.conv2d(x, window, strides=stride, padding=padding))))

    return module([shape], body)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [((1, 3, 32, 48), 4, 4), ((2, 3, 20, 20), 4, 2), ((1, 1, 65, 64), 8, 8), ((1, 3, 48, 32), 16, 16)],
)
def test_patches_of_an_image(shape: tuple[int, ...], kernel: int, stride: int) -> None:
    """Their rows are lines: of four, eight or sixteen pixels."""
    mod = from_image(shape, kernel, stride)
    assert paired(check_planned(mod, 5e-6))
    assert paired(check_planned(mod, 5e-6, threads=2))


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [((1, 64, 14, 14), 1, 0), ((1, 3, 32, 32), 7, 0), ((1, 3, 32, 32), 8, 2), ((1, 3, 32, 30), 4, 0)],
)
def test_beside_a_patch_nothing_is_read(shape: tuple[int, ...], kernel: int, padding: int) -> None:
    """Where rows of patches are not whole lines, what lies beside the last one is not the input's."""
    assert not paired(check_planned(from_image(shape, kernel, max(1, kernel // 2), padding), 5e-6))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(4, 4, 0), (8, 4, 4), (8, 2, 4), (8, 1, 4), (16, 4, 8), (16, 2, 4), (16, 2, 8)],
)
def test_lines_lie_within_the_image(
    kernel: int, stride: int, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a border some taps are left out, and with them what lines may hold."""
    monkeypatch.setattr("tvm_passes.in_place.MOST_CLASSES", 1000)
    mod = from_image((1, 3, 32, 32), kernel, stride, padding)
    tasks = [
        t
        for t in tasks_of(lower_module(mod, AVX512, PipelineOptions()))
        if isinstance(t.workload, PairedConv)
    ]
    assert tasks
    for task in tasks:
        lanes = np.arange(task.workload.line_lanes)
        read = np.add.outer(np.add.outer(task.constants["line"].astype(int), task.constants["pt"]), lanes)
        assert 0 <= read.min() <= read.max() < 3 * 32 * 32


@pytest.mark.parametrize("scale", [1 / 255, 1.0, 255.0])
def test_images_in_other_units(scale: float) -> None:
    """Darker and brighter parts: columns of both kinds of sums."""
    mod = from_image((1, 3, 64, 64), 4, 4)
    program = planned(mod, AVX512)
    assert paired(program)
    image = np.random.default_rng(3).random((1, 3, 64, 64), np.float32) * np.float32(scale)
    image[..., :20, :] = 0.0
    image[..., 40:, :] *= 1e-3
    expected = reference(mod, [image])
    for got, want in zip(execute(program, [image], [image], outputs=expected), expected, strict=True):
        size = np.abs(want).max()
        np.testing.assert_allclose(got / size, want / size, rtol=0, atol=1e-5)


def test_several_tasks_give_the_same() -> None:
    assert paired(check_planned(pointwise(128, 128, 28, 28), 5e-6, threads=2))


@pytest.mark.parametrize(
    ("starts", "distances"),
    [
        ([0, 16, 32, 64, 80, 96], (3, 16, 2, 64)),
        ([0, 1, 3, 4, 10, 11, 13, 14], (2, 1, 2, 3)),  # two images
        ([5, 7, 9, 11], (4, 2, 1, 0)),
        ([0, 16, 48, 64, 80], (1, 0, 1, 0)),
        ([0, 16, 32, 48, 96, 112], (2, 16, 1, 0)),
        ([0, 16, 96, 104], (1, 0, 1, 0)),
        ([*range(9), *range(20, 29)], (9, 1, 1, 0)),  # long enough for a column
        ([7], (1, 0, 1, 0)),
    ],
)
def test_distances_of_pixels(starts: list[int], distances: tuple[int, ...]) -> None:
    """Equally long runs with one step; equally many short ones with one step between them."""
    workload = of_pixels(PairedConv(32, 1, 2, 16, 100), np.array(starts))
    assert isinstance(workload, PairedConv)
    assert (workload.run, workload.step, workload.rows, workload.row_step) == distances
    assert workload.pixels == len(starts)


@pytest.mark.parametrize("magnitude", [1e-6, 1e-3, 0.1, 30.0, 1e4])
def test_inputs_of_any_magnitude(magnitude: float) -> None:
    mod = pointwise(64, 96)
    program = planned(mod, AVX512)
    assert paired(program)
    inputs = [tensor * np.float32(magnitude) for tensor in tensors(mod, 1)]
    expected = reference(mod, inputs)
    for got, want in zip(execute(program, inputs, inputs, outputs=expected), expected, strict=True):
        scale = np.abs(want).max()
        np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=1e-5)
