"""Blocked channels to planar ones: squares, what is left over of both sides, several images, threads."""

from __future__ import annotations

from itertools import chain

import attrs
import numpy as np
import pytest
import tvm

import schedules
from schedules.workload import Elementwise, EpilogueOp
from schedules.x86.unpack import UnpackTemplate, interleavings, row_of
from tests.machines import AVX2, AVX512, SSE2
from tests.schedules.harness import host_targets, run

TARGETS = [pytest.param(target, id=str(target.attrs["mcpu"])) for target in host_targets()]
GAP = 5


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("channels", "images", "plane", "threads"),
    [(16, 1, 48, 1), (21, 1, 37, 1), (3, 1, 16, 1), (40, 2, 32, 2), (17, 1, 203, 2), (64, 1, 640, 3)],
)
def test_channels_become_planes(
    target: tvm.target.Target, channels: int, images: int, plane: int, threads: int
) -> None:
    rng = np.random.default_rng(channels)
    lanes, pixels = schedules.machine_of(target).lanes, images * plane
    blocks = -(-channels // lanes)
    kernel = schedules.build(Elementwise(channels, 1, pixels, square=lanes), target, threads)
    assert kernel.kind == "unpack"
    x = rng.standard_normal((blocks, pixels + GAP, lanes)).astype(np.float32)
    number, lane = np.divmod(np.arange(channels), lanes)
    places = rng.permutation(pixels + GAP)[:pixels]  # of pixels in x: anywhere
    image, pixel = np.divmod(np.arange(pixels), plane)
    arguments = {
        "x": x.reshape(-1),
        "xb": (rng.permutation(blocks)[number] * (pixels + GAP) * lanes + lane).astype(np.int32),
        "xp": (places * lanes).astype(np.int32),
        "yo": (np.arange(channels) * plane).astype(np.int32),
        "yp": (image * (channels * plane) + pixel).astype(np.int32),
        "y": np.full(channels * pixels + GAP, np.nan, np.float32),
    }
    expected = arguments["y"].copy()
    index = arguments["yo"][:, None] + arguments["yp"]
    expected[index] = arguments["x"][arguments["xb"][:, None] + arguments["xp"]]
    np.testing.assert_array_equal(run(kernel, arguments, target), expected)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_interleavings_transpose(lanes: int) -> None:
    square = [[(row, lane) for lane in range(lanes)] for row in range(lanes)]
    for one, other, low, high in chain.from_iterable(interleavings(lanes)):
        pair = square[one] + square[other]
        square[one], square[other] = [pair[lane] for lane in low], [pair[lane] for lane in high]
    for column in range(lanes):
        assert square[row_of(column)] == [(row, column) for row in range(lanes)]


@pytest.mark.parametrize("target", [SSE2, AVX2, AVX512], ids=["sse2", "avx2", "avx512"])
def test_what_it_refuses(target: tvm.target.Target) -> None:
    machine = schedules.machine_of(target)
    lanes, template = machine.lanes, UnpackTemplate()
    fitting = Elementwise(2 * lanes, 1, 3 * lanes, square=lanes)
    assert template.applies(fitting, machine) is None
    for change, reason in (
        ({"epilogue": (EpilogueOp("relu"),)}, "it is no copy of single channels"),
        ({"lanes": lanes}, "it is no copy of single channels"),
        ({"access": "lane"}, "it is no copy of single channels"),
        ({"square": 1}, f"squares of 1 channels and pixels, a vector has {lanes} lanes"),
        ({"pixels": lanes - 1}, "a vector has more lanes than there are pixels"),
    ):
        other = attrs.evolve(fitting, **change)
        assert template.applies(other, machine) == reason
        assert schedules.build(other, target).kind == "elementwise"
