"""The building blocks compute what their papers define."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest

from shiftc import zoo
from shiftc.zoo.compconv import compconv, compconv_macs, primary_channels, recursion_depth
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.shift import grouped_shift_kernels, shift
from shiftc.zoo.shift_mlps import COLUMNS, ROWS, axial_shift, even_sizes, partial_shift, roll
from shiftc.zoo.tensor import Tensor

Module = Callable[[GraphBuilder, Tensor], Tensor]


def evaluate(module: Module, x: np.ndarray) -> np.ndarray:
    """The module's output for `x`, by onnxruntime."""
    graph = GraphBuilder("module", x.shape, np.random.default_rng(0))
    model = graph.model(module(graph, graph.input)).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def image(channels: int, rows: int = 7, columns: int = 6) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, channels, rows, columns)).astype(np.float32)


def moved(plane: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """`y[h, w] = plane[h + dy, w + dx]`, zero outside."""
    rows, columns = plane.shape[-2:]
    padded = np.pad(plane, [(0, 0)] * (plane.ndim - 2) + [(abs(dy),) * 2, (abs(dx),) * 2])
    return padded[..., abs(dy) + dy :, abs(dx) + dx :][..., :rows, :columns]


@pytest.mark.parametrize(("channels", "kernel"), [(9, 3), (20, 3), (96, 3), (61, 5), (4, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_grouped_shift(channels: int, kernel: int, stride: int) -> None:
    """⌊C/k²⌋ channels a displacement, row-major; the channels left over stay."""
    x = image(channels)
    group = channels // kernel**2
    expected = x.copy()
    for tap in range(kernel**2):
        block = slice(tap * group, (tap + 1) * group)
        expected[:, block] = moved(x[:, block], tap // kernel - kernel // 2, tap % kernel - kernel // 2)
    actual = evaluate(lambda graph, t: shift(graph, t, kernel, stride=stride), x)
    np.testing.assert_array_equal(actual, expected[:, :, ::stride, ::stride])


def test_shift_kernels_are_one_hot() -> None:
    kernels = grouped_shift_kernels(50, 3)
    assert set(np.unique(kernels)) == {0.0, 1.0}
    assert (kernels.sum(axis=(1, 2, 3)) == 1).all()


@pytest.mark.parametrize("by", [-2, -1, 0, 1, 3])
@pytest.mark.parametrize("axis", [ROWS, COLUMNS])
def test_roll(axis: int, by: int) -> None:
    x = image(4)
    actual = evaluate(lambda graph, t: graph.relu(roll(graph, t, axis, by)), x)
    np.testing.assert_array_equal(actual, np.maximum(np.roll(x, by, axis), 0))


@pytest.mark.parametrize("axis", [ROWS, COLUMNS])
@pytest.mark.parametrize("channels", [10, 13])
def test_axial_shift(axis: int, channels: int) -> None:
    x = image(channels)
    expected, start = np.empty_like(x), 0
    for by, size in enumerate(even_sizes(channels, 5), start=-2):
        dy, dx = (-by, 0) if axis == ROWS else (0, -by)
        expected[:, start : start + size] = moved(x[:, start : start + size], dy, dx)
        start += size
    np.testing.assert_array_equal(evaluate(lambda graph, t: axial_shift(graph, t, axis, 5), x), expected)


def test_partial_shift() -> None:
    x = image(24)
    expected = x.copy()
    for index, (dy, dx) in enumerate([(0, 1), (0, -1), (1, 0), (-1, 0)]):
        expected[:, 2 * index : 2 * index + 2] = moved(x[:, 2 * index : 2 * index + 2], dy, dx)
    np.testing.assert_array_equal(evaluate(lambda graph, t: partial_shift(graph, t, 12), x), expected)


def test_channel_shuffle() -> None:
    x = image(12)
    order = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    np.testing.assert_array_equal(evaluate(lambda graph, t: graph.channel_shuffle(t, 3), x), x[:, order])


def test_gelu() -> None:
    x = np.array([-3, -1, 0, 0.5, 2], np.float32).reshape(1, 1, 1, 5)
    expected = np.array([-0.00404951, -0.15865525, 0, 0.34573123, 1.9544997]).reshape(1, 1, 1, 5)
    np.testing.assert_allclose(evaluate(lambda graph, t: graph.gelu(t), x), expected, atol=1e-6)


@pytest.mark.parametrize(("depth", "share"), [(1, 0.75), (2, 0.306), (3, 0.179)])
def test_compconv_saves_what_the_paper_says(depth: int, share: float) -> None:
    """Share of a plain convolution's multiply-adds at equal widths, here divisible by 2 (2^d − 1)."""
    channels = 42 * 8
    plain = 49 * 9 * channels * channels
    assert compconv_macs(49, 3, channels, channels, depth) / plain == pytest.approx(share, abs=5e-4)


@pytest.mark.parametrize(
    ("channels", "depth"), [(3, 1), (64, 1), (128, 1), (255, 1), (256, 2), (511, 2), (512, 3), (4096, 3)]
)
def test_compconv_depth(channels: int, depth: int) -> None:
    assert recursion_depth(channels) == depth


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 64), (256, 256), (256, 128), (512, 512)])
@pytest.mark.parametrize("stride", [1, 2])
def test_compconv_graph_costs_what_the_formula_says(inputs: int, outputs: int, stride: int) -> None:
    graph = GraphBuilder("compconv", (1, inputs, 8, 8), np.random.default_rng(0))
    y = compconv(graph, graph.input, outputs, stride=stride)
    assert y.shape == (1, outputs, 8 // stride, 8 // stride)
    expected = compconv_macs(64 // stride**2, 3, inputs, outputs, recursion_depth(inputs))
    assert zoo.count(graph.model(y)).macs == expected


def test_compconv_copies_input_channels() -> None:
    """At depth 2 the part A_1 is C_prim input channels, untouched but for the shuffle."""
    x = image(256, 4, 4)
    primary = primary_channels(256, depth=2)
    output = evaluate(lambda graph, t: compconv(graph, t, 256), x)
    unshuffled = output.reshape(2, 128, 2, 4, 4).swapaxes(1, 2).reshape(output.shape)
    start = 256 - 4 * primary
    np.testing.assert_array_equal(unshuffled[:, start : start + primary], x[:, :primary])


def test_batch_norm_statistics_keep_the_scale() -> None:
    """Sixty layers neither vanish nor explode."""

    def deep(graph: GraphBuilder, x: Tensor) -> Tensor:
        for _ in range(60):
            x = graph.relu(graph.batch_norm(graph.conv(x, 32, 3)))
        return x

    assert 0.05 < evaluate(deep, image(32, 16, 16)).std() < 20
