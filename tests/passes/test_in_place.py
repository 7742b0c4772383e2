"""Inputs that convolutions read where the caller has them, and those that are copied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import relax
from tvm.ir import IRModule
from tvm.relax import op

from tests.passes.modules import (
    channelwise,
    check_planned,
    compiled,
    const,
    conv,
    execute,
    module,
    moved,
    through,
    values,
)
from tvm_passes.anchor import Window
from tvm_passes.compiled import Compiled
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.in_place import FEWEST_BYTES, MOST_CHANNELS
from tvm_passes.layout import Planner
from tvm_passes.lowering.borders import classes_of_pixels
from tvm_passes.lowering.steps import PackStep
from tvm_passes.report import Report

IMAGE = (1, 3, 37, 30)


def convolved(x: relax.Var, outputs: int, kernel: tuple[int, int], **attributes: Any) -> relax.Call:
    """A convolution of an image by whole numbers."""
    channels = int(x.ty.shape[1]) // attributes.get("groups", 1)
    return op.nn.conv2d(x, const(values(outputs, channels, *kernel)), **attributes)


def kinds(program: Compiled) -> list[str]:
    return [step.kind for step in program.steps]


# --- classes of pixels ------------------------------------------------------------------------------------


def test_a_stem_of_three_by_three_has_four_classes() -> None:
    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    classes = classes_of_pixels(window, (1, 4, 4), (8, 8))
    assert [(len(c.numbers), len(c.taps)) for c in classes] == [(9, 9), (3, 6), (3, 6), (1, 4)]
    assert classes[0].numbers.tolist() == [5, 6, 7, 9, 10, 11, 13, 14, 15]
    assert classes[-1].taps.tolist() == [4, 5, 7, 8]


def test_without_padding_there_is_one_class() -> None:
    (only,) = classes_of_pixels(Window((4, 4), (4, 4)), (2, 2, 3), (8, 12))
    assert only.numbers.tolist() == list(range(12))
    assert only.taps.tolist() == list(range(16))


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(pairs, pairs, st.tuples(*[st.integers(0, 3)] * 4), pairs, pairs, st.integers(1, 2))
def test_every_pixel_reads_the_taps_that_lie_inside(kernel, stride, padding, dilation, plane, images) -> None:
    window = Window(kernel, stride, padding, dilation)
    reach = [plane[i] + padding[i] + padding[i + 2] - (kernel[i] - 1) * dilation[i] for i in range(2)]
    output = (images, *(max(1, -(-r // s)) for r, s in zip(reach, stride, strict=True)))
    read: dict[int, list[int]] = {}
    for pixels in classes_of_pixels(window, output, plane):
        for number in pixels.numbers.tolist():
            assert number not in read
            read[number] = pixels.taps.tolist()
    for number, (_, y, x) in enumerate(np.ndindex(*output)):
        inside = [
            tap
            for tap, (i, j) in enumerate(np.ndindex(*kernel))
            if 0 <= y * stride[0] - padding[0] + i * dilation[0] < plane[0]
            and 0 <= x * stride[1] - padding[1] + j * dilation[1] < plane[1]
        ]
        assert read[number] == inside


# --- programs ---------------------------------------------------------------------------------------------

WINDOWS: dict[str, tuple[tuple[int, ...], tuple[int, int], dict[str, Any]]] = {
    "7x7/2": (IMAGE, (7, 7), {"strides": 2, "padding": 3}),
    "3x3/2": (IMAGE, (3, 3), {"strides": 2, "padding": 1}),
    "3x3": (IMAGE, (3, 3), {"padding": 1}),
    "4x4/4": (IMAGE, (4, 4), {"strides": 4}),
    "pointwise": (IMAGE, (1, 1), {}),
    "asymmetric": (IMAGE, (3, 2), {"strides": (1, 2), "padding": (0, 1, 2, 0)}),
    "dilated": (IMAGE, (3, 3), {"padding": (2, 3), "dilation": (2, 3)}),
    "a window as large as the plane": ((1, 1, 3, 800), (3, 3), {"padding": 2}),
    "a batch": ((3, 2, 21, 20), (5, 3), {"strides": 2, "padding": (2, 1)}),
    "groups": ((2, 6, 17, 19), (3, 3), {"padding": 1, "groups": 2}),
    "matrix": ((700, 6, 1, 1), (1, 1), {}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_convolution_reads_the_input_in_place(name: str) -> None:
    shape, kernel, attributes = WINDOWS[name]

    def body(emit, x):
        y = emit(op.add(emit(convolved(x, 20, kernel, **attributes)), channelwise(*range(20))))
        return emit(op.nn.relu(y))

    program = check_planned(module([shape], body))
    assert kinds(program) == ["indexed_conv", "layout"]


def test_the_border_reads_nothing_beyond_its_row_and_plane() -> None:
    """What is no number stays with the windows that it lies in."""
    mod = module([IMAGE], lambda emit, x: emit(convolved(x, 8, (3, 3), padding=1)))
    x = values(*IMAGE)
    x[0, 1, 0, :] = x[0, 1, :, -1] = np.nan
    out = execute(compiled(mod), [x], outputs=[np.zeros((1, 8, 37, 30), "float32")])[0]
    expected = np.zeros((1, 8, 37, 30), bool)
    expected[:, :, :2] = expected[:, :, :, -2:] = True
    np.testing.assert_array_equal(np.isnan(out), expected)


def test_an_operand_of_the_epilogue_is_cut_with_the_pixels() -> None:
    def body(emit, x, r):
        return emit(op.nn.silu(emit(op.add(emit(convolved(x, 20, (3, 3), strides=2, padding=1)), r))))

    program = check_planned(module([IMAGE, (1, 20, 19, 15)], body))
    assert kinds(program) == ["layout", "indexed_conv", "layout"]


def test_two_convolutions_read_one_input() -> None:
    def body(emit, x):
        near = emit(convolved(x, 8, (3, 3), strides=2, padding=1))
        return emit(op.add(near, emit(convolved(x, 8, (7, 7), strides=2, padding=3))))

    assert kinds(check_planned(module([IMAGE], body))) == ["indexed_conv", "indexed_conv", "layout"]


def test_beside_an_operator_without_a_template() -> None:
    mod = module([IMAGE], lambda emit, x: (emit(convolved(x, 8, (3, 3), padding=1)), emit(op.sin(x)), x))
    assert kinds(check_planned(mod)) == ["indexed_conv", "generic", "layout", "movement"]


def test_threads_share_interior_and_border() -> None:
    def body(emit, x):
        y = emit(op.nn.relu(emit(convolved(x, 64, (7, 7), strides=2, padding=3))))
        return emit(conv(y, values(64, 64, 3, 3), 1))

    program = check_planned(module([(2, 3, 64, 61)], body), threads=2, winograd=False)
    assert program.threads == 2
    assert kinds(program) == ["indexed_conv", "indexed_conv", "layout"]


# --- refusals ---------------------------------------------------------------------------------------------


def _moved(emit, x):
    shifted = emit(through(moved([(0, 1), (1, 0), (0, 0)], IMAGE), x))
    return emit(convolved(shifted, 8, (1, 1)))


def _an_operand(emit, x):
    return emit(op.add(emit(convolved(x, 3, (3, 3), padding=1)), x))


REFUSALS = {
    "max_pool": (IMAGE, lambda emit, x: emit(op.nn.max_pool2d(x, (2, 2))), "window_pool reads it"),
    "moved": (IMAGE, _moved, "a convolution reads it through an index map"),
    "residual": (IMAGE, _an_operand, "an epilogue reads it"),
    "channels": (
        (1, MOST_CHANNELS + 1, 32, 32),
        lambda emit, x: emit(convolved(x, 8, (1, 1))),
        "it has more than 8 channels",
    ),
    "small": (
        (1, 2, FEWEST_BYTES // 64, 7),
        lambda emit, x: emit(convolved(x, 8, (1, 1))),
        "it has less than 8192 bytes",
    ),
    "padding alone": (
        IMAGE,
        lambda emit, x: emit(convolved(x, 8, (3, 3), padding=3)),
        "some windows lie in the padding",
    ),
    "many borders": (
        IMAGE,
        lambda emit, x: emit(convolved(x, 8, (17, 17), padding=8)),
        "a window of 17 x 17 has too many borders",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_copy_says_why(name: str) -> None:
    shape, body, reason = REFUSALS[name]
    mod: IRModule = module([shape], body)
    steps = Planner(fold(fuse(mod), Report()), 8).run().steps
    assert isinstance(steps[0], PackStep)
    assert steps[0].reason == reason
    program = check_planned(mod)
    assert program.steps[0].kind == "layout"
    assert program.steps[0].reason == reason
