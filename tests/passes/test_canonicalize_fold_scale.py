"""Factors behind convolutions and matrix products are in their weights."""

from functools import partial

import numpy as np
import pytest
from tvm.relax import op

from tests.passes.modules import (
    apply_rule,
    assert_computes_the_same,
    assert_same,
    channelwise,
    const,
    conv,
    module,
    one_hot,
    operators,
    values,
)
from tvm_passes.canonicalize.fold_scale import fold_scale

SHAPE = (2, 4, 5, 5)
SCALE = np.array([2, 0.5, -1, 4, 0, 8], "float32")
W, GROUPED, BIAS = values(6, 4, 3, 3), values(6, 2, 1, 1), values(1, 6, 1, 1)
K = values(4, 6)

folded = partial(apply_rule, fold_scale)


def scaled(weight):
    return weight * SCALE[:, None, None, None]


def times(x, swapped=False):
    factor = channelwise(*SCALE)
    return op.multiply(factor, x) if swapped else op.multiply(x, factor)


@pytest.mark.parametrize("swapped", [False, True])
def test_product_folds_into_the_convolution(swapped: bool) -> None:
    before = module([SHAPE], lambda emit, x: emit(times(emit(conv(x, W, 1)), swapped)))
    assert_same(folded(before), module([SHAPE], lambda emit, x: emit(conv(x, scaled(W), 1))))


def test_product_folds_into_a_grouped_convolution() -> None:
    before = module([SHAPE], lambda emit, x: emit(times(emit(conv(x, GROUPED, groups=2)))))
    assert_same(folded(before), module([SHAPE], lambda emit, x: emit(conv(x, scaled(GROUPED), groups=2))))


def test_product_folds_through_the_bias() -> None:
    before = module(
        [SHAPE], lambda emit, x: emit(op.nn.relu(emit(times(emit(op.add(emit(conv(x, W)), const(BIAS)))))))
    )
    bias = const(BIAS * SCALE.reshape(1, 6, 1, 1))
    after = module([SHAPE], lambda emit, x: emit(op.nn.relu(emit(op.add(emit(conv(x, scaled(W))), bias)))))
    assert_same(folded(before), after)


def test_chains_of_products_fold() -> None:
    def body(emit, x):
        product = emit(op.multiply(emit(times(emit(conv(x, W)))), const(0.5)))
        return emit(times(emit(op.add(product, const(BIAS)))))

    before = module([SHAPE], body)
    after = folded(before)
    assert operators(after) == ["conv2d", "add"]
    assert_computes_the_same(before, after)


def test_product_folds_into_a_matrix_product() -> None:
    before = module([(3, 4)], lambda emit, x: emit(op.multiply(emit(op.matmul(x, const(K))), const(SCALE))))
    after = module([(3, 4)], lambda emit, x: emit(op.matmul(x, const(K * SCALE))))
    assert_same(folded(before), after)


@pytest.mark.parametrize("rows", [6, 5])
@pytest.mark.parametrize("factor", [0.5, SCALE], ids=["number", "vector"])
def test_channels_of_a_batch_of_matrices_are_its_last_axis(rows: int, factor) -> None:
    def body(emit, x):
        biased = emit(op.add(emit(op.matmul(x, const(K))), const(BIAS.ravel())))
        return emit(op.multiply(biased, const(factor)))

    before = module([(2, rows, 4)], body)
    after = folded(before)
    assert operators(after) == ["matmul", "add"]
    assert_computes_the_same(before, after)


def test_a_factor_per_row_of_matrices_stays() -> None:
    factor = const(SCALE.reshape(6, 1))
    mod = module([(2, 6, 4)], lambda emit, x: emit(op.multiply(emit(op.matmul(x, const(K))), factor)))
    assert_same(folded(mod), mod)


def test_a_shift_keeps_its_ones() -> None:
    taps = one_hot([(0, 1), (1, 1), (2, 1), (1, 0)])
    factor = channelwise(2, 3, 4, 5)
    mod = module([SHAPE], lambda emit, x: emit(op.multiply(emit(conv(x, taps, 1, groups=4)), factor)))
    assert_same(folded(mod), mod)


def _read_twice(emit, x):
    y = emit(conv(x, W))
    return emit(op.add(y, emit(times(y))))


def _returned(emit, x):
    y = emit(conv(x, W))
    return y, emit(times(y))


def _bias_per_pixel(emit, x):
    return emit(times(emit(op.add(emit(conv(x, W)), const(values(1, 6, 3, 3))))))


def _factor_per_pixel(emit, x):
    return emit(op.multiply(emit(conv(x, W)), const(values(1, 1, 3, 3))))


def _factor_that_broadcasts(emit, x):
    return emit(op.multiply(emit(conv(x, W)), const(values(1, 2, 6, 1, 1))))


@pytest.mark.parametrize(
    "body", [_read_twice, _returned, _bias_per_pixel, _factor_per_pixel, _factor_that_broadcasts]
)
def test_what_cannot_be_folded_stays(body) -> None:
    mod = module([SHAPE], body)
    assert_same(folded(mod), mod)
