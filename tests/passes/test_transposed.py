"""Transposed convolutions as classes of pixels: what each reads, and which are computed together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import relax

from tests.machines import AVX2
from tests.passes.modules import module
from tvm_passes.anchor import Window, anchor_of
from tvm_passes.graph import Graph
from tvm_passes.lowered import Lowered
from tvm_passes.lowering.borders import classes_of_pixels
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.reach import Reach
from tvm_passes.stage import stage_of

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(pairs, st.tuples(*[st.integers(-2, 4)] * 4), pairs, pairs, pairs, st.booleans())
def test_every_pixel_reads_the_elements_that_its_taps_fall_on(
    kernel: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    spacing: tuple[int, int],
    plane: tuple[int, int],
    bordered: bool,
) -> None:
    window = Window(kernel, (1, 1), padding, dilation, spacing)
    output = (2, 5, 6)
    read: dict[int, list[tuple[int, int, int]]] = {}
    for pixels in classes_of_pixels(window, output, plane if bordered else None):
        rows, columns = ((pixels.residue[axis] + window.places(axis)) // spacing[axis] for axis in (0, 1))
        for number in pixels.numbers.tolist():
            _, y, x = np.unravel_index(number, output)
            taps = [(tap, *divmod(tap, kernel[1])) for tap in pixels.taps.tolist()]
            read[number] = [
                (tap, int(y // spacing[0] + rows[i]), int(x // spacing[1] + columns[j])) for tap, i, j in taps
            ]
    assert len(read) == np.prod(output)
    for number, (_, y, x) in enumerate(np.ndindex(*output)):
        expected = []
        for tap, (i, j) in enumerate(np.ndindex(*kernel)):
            row, between_rows = divmod(y - padding[0] + i * dilation[0], spacing[0])
            column, between_columns = divmod(x - padding[1] + j * dilation[1], spacing[1])
            inside = 0 <= row < plane[0] and 0 <= column < plane[1]
            if not between_rows and not between_columns and (inside or not bordered):
                expected.append((tap, row, column))
        assert read[number] == expected


@given(st.integers(1, 5), st.integers(-3, 5), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))
def test_a_reach_covers_what_is_read(
    kernel: int, padding: int, dilation: int, spacing: int, outputs: int
) -> None:
    reach = Reach.of_window(kernel, 1, padding, dilation, spacing)
    places = np.add.outer(np.arange(outputs), np.arange(kernel) * dilation - padding)
    read = places[places % spacing == 0] // spacing
    if read.size:
        assert reach.first(0) <= read.min()
        assert read.max() < reach.last(outputs)
        assert read.max() == reach.last(outputs) - 1 or places.max() % spacing
    shifted = reach.through(1, -2, 3)
    assert (shifted.first(0), shifted.last(outputs)) == (reach.first(0) - 2, reach.last(outputs) + 3)


def _lowered(kernel: int, outputs: int, groups: int = 1, **attributes: object) -> Lowered:
    weight = np.random.default_rng(0).standard_normal((16, outputs, kernel, kernel)).astype("float32")

    def body(emit, x):  # type: ignore[no-untyped-def]
        x = emit(relax.op.nn.relu(x))
        return emit(relax.op.nn.conv2d_transpose(x, relax.const(weight), groups=groups, **attributes))

    return lower_module(module([(1, 16, 8, 8)], body), AVX2, PipelineOptions(pairing=False))


@pytest.mark.parametrize(
    ("kernel", "attributes", "kernels", "macs"),
    [
        (2, {"strides": 2}, 1, 4 * 64),
        (4, {"strides": 2, "padding": 1}, 4, 16 * 64),
        (3, {"strides": 1, "padding": 1}, 1, 9 * 64),
        (4, {"strides": 4}, 1, 16 * 64),
        (4, {"strides": 2}, 1, 4 * 4 * 81),
    ],
)
def test_pixels_that_read_the_same_are_computed_together(
    kernel: int, attributes: dict[str, int], kernels: int, macs: int
) -> None:
    """Multiply-adds are counted with those on the padding, as of every convolution."""
    lowered = _lowered(kernel, 8, **attributes)
    (call,) = (call for call in lowered.calls if call.record.kind == "indexed_conv")
    assert len(call.invocations) == kernels
    assert call.record.macs == macs * 16 * 8


def test_depthwise_has_a_kernel_for_every_class() -> None:
    lowered = _lowered(4, 1, 16, strides=2, padding=1)
    (call,) = (call for call in lowered.calls if call.record.kind == "depthwise")
    workloads = {invocation.kernel.workload for invocation in call.invocations if invocation.kernel}
    assert len(call.invocations) == 4
    assert {(w.rows, w.columns, len(w.taps)) for w in workloads} == {(8, 8, 4)}


def test_a_filter_that_is_not_constant_is_no_anchor() -> None:
    def body(emit, x, w):  # type: ignore[no-untyped-def]
        return emit(relax.op.nn.conv2d_transpose(x, w))

    mod = module([(1, 4, 5, 5), (4, 3, 2, 2)], body)
    (node,) = Graph.read(mod).nodes
    assert anchor_of(node) == "a transposed convolution whose weight is not constant"
    assert stage_of(mod, node) is None
