"""A batch normalisation fused into one-hot filters is taken out of them."""

import numpy as np
import pytest
from tvm.relax import op

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    channelwise,
    conv,
    module,
    one_hot,
    operators,
    values,
)
from tvm_passes.canonicalize.split_scaled_shift import split_scaled_shift
from tvm_passes.graph import Graph

SHAPE = (1, 4, 5, 5)
TAPS = [(0, 1), (1, 1), (2, 1), (1, 0)]


def split(mod):
    graph = Graph.read(mod)
    split_scaled_shift(graph)
    return graph.write(mod)


@pytest.mark.parametrize("strides", [1, 2])
def test_scaled_taps_become_ones_and_a_product(strides: int) -> None:
    scaled = one_hot(TAPS, [2, -0.5, 3, 1])
    before = module([SHAPE], lambda emit, x: emit(conv(x, scaled, 1, strides, groups=4)))
    after = module(
        [SHAPE],
        lambda emit, x: emit(
            op.multiply(emit(conv(x, one_hot(TAPS), 1, strides, groups=4)), channelwise(2, -0.5, 3, 1))
        ),
    )
    assert_same(split(before), after)
    assert_computes_the_same(before, after)


def test_a_filter_of_zeros_stays_zeros() -> None:
    taps = [(0, 1), None, (2, 1), (1, 0)]
    before = module([SHAPE], lambda emit, x: emit(conv(x, one_hot(taps, [2, 9, 4, 8]), 1, groups=4)))
    after = split(before)
    shift, product = Graph.read(after).nodes
    np.testing.assert_array_equal(shift.args[1].value.numpy(), one_hot(taps))
    assert product.args[1].value.numpy().ravel().tolist() == [2, 1, 4, 8]
    assert_computes_the_same(before, after)


def test_a_pointwise_filter_is_a_product_alone() -> None:
    scale = np.array([2.0, 0.0, 3.0, -1.0], "float32")
    before = module([SHAPE], lambda emit, x: emit(conv(x, scale.reshape(4, 1, 1, 1), groups=4)))
    after = module([SHAPE], lambda emit, x: emit(op.multiply(x, channelwise(*scale))))
    assert_same(split(before), after)
    assert_computes_the_same(before, after)


@pytest.mark.parametrize(("padding", "strides"), [(1, 1), (0, 2), (1, 2)])
def test_a_pointwise_filter_that_moves_pixels_keeps_its_convolution(padding: int, strides: int) -> None:
    weight = np.array([2.0, 0.0, 3.0, -1.0], "float32").reshape(4, 1, 1, 1)
    before = module([SHAPE], lambda emit, x: emit(conv(x, weight, padding, strides, groups=4)))
    after = split(before)
    assert operators(after) == ["conv2d", "multiply"]
    assert_computes_the_same(before, after)


def test_one_channel() -> None:
    before = module([(1, 1, 5, 5)], lambda emit, x: emit(conv(x, one_hot([(0, 0)], [3]), 1)))
    after = split(before)
    assert operators(after) == ["conv2d", "multiply"]
    assert_computes_the_same(before, after)


TWO_TAPS = one_hot(TAPS)
TWO_TAPS[2, 0, 0, 0] = 1


@pytest.mark.parametrize(
    "stays",
    [
        lambda x: conv(x, one_hot(TAPS), 1, groups=4),  # a shift already
        lambda x: conv(x, one_hot([None] * 4), 1, groups=4),
        lambda x: conv(x, TWO_TAPS, 1, groups=4),
        lambda x: conv(x, values(4, 1, 3, 3), 1, groups=4),
        lambda x: conv(x, 2 * np.eye(4, dtype="float32").reshape(4, 4, 1, 1)),  # dense
        lambda x: conv(x, np.concatenate([one_hot(TAPS, [2, 2, 2, 2])] * 2), 1, groups=4),  # two per channel
    ],
)
def test_other_convolutions_stay(stays) -> None:
    mod = module([SHAPE], lambda emit, x: emit(stays(x)))
    assert_same(split(mod), mod)
