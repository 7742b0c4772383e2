"""Factors and terms in front of convolutions and matrix products are in their weights."""

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
from tvm_passes.canonicalize import canonicalize
from tvm_passes.canonicalize.fold_scale_forward import fold_scale_forward
from tvm_passes.graph import Graph

SHAPE = (2, 4, 5, 5)
SCALE, OFFSET = np.array([2, 0.5, -1, 4], "float32"), np.array([1, -2, 0, 3], "float32")
POINTWISE, SQUARE, GROUPED = values(6, 4, 1, 1), values(6, 4, 3, 3), values(6, 2, 3, 3)
TAPS = [(0, 1), (1, 1), (2, 1), (1, 0)]
SHIFT = one_hot(TAPS)

folded = partial(apply_rule, fold_scale_forward)


def times(x):
    return op.multiply(x, channelwise(*SCALE))


def plus(x):
    return op.add(x, channelwise(*OFFSET))


def biased(y, vector):
    return op.add(y, channelwise(*vector))


def test_scale_folds_even_into_a_padded_convolution() -> None:
    before = module([SHAPE], lambda emit, x: emit(conv(emit(times(x)), SQUARE, 1)))
    after = module([SHAPE], lambda emit, x: emit(conv(x, SQUARE * SCALE[:, None, None], 1)))
    assert_same(folded(before), after)


def test_scale_folds_into_a_grouped_convolution() -> None:
    before = module([SHAPE], lambda emit, x: emit(conv(emit(times(x)), GROUPED, groups=2)))
    weight = GROUPED.reshape(2, 3, 2, 3, 3) * SCALE.reshape(2, 1, 2, 1, 1)
    after = module([SHAPE], lambda emit, x: emit(conv(x, weight.reshape(GROUPED.shape), groups=2)))
    assert_same(folded(before), after)


def test_offset_becomes_a_bias() -> None:
    before = module([SHAPE], lambda emit, x: emit(conv(emit(plus(x)), SQUARE)))
    bias = SQUARE.sum(axis=(2, 3)) @ OFFSET
    after = module([SHAPE], lambda emit, x: emit(biased(emit(conv(x, SQUARE)), bias)))
    assert_same(folded(before), after)
    assert_computes_the_same(before, after)


def test_offset_joins_the_bias_that_is_there() -> None:
    bias = values(6)
    before = module(
        [SHAPE], lambda emit, x: emit(op.nn.relu(emit(biased(emit(conv(emit(plus(x)), POINTWISE)), bias))))
    )
    total = bias + POINTWISE[:, :, 0, 0] @ OFFSET
    after = module([SHAPE], lambda emit, x: emit(op.nn.relu(emit(biased(emit(conv(x, POINTWISE)), total)))))
    assert_same(folded(before), after)


@pytest.mark.parametrize("order", [(times, plus), (plus, times), (plus, times, plus)])
def test_scale_and_offset_in_any_order(order) -> None:
    def body(emit, x):
        for step in order:
            x = emit(step(x))
        return emit(conv(x, GROUPED, groups=2))

    before = module([SHAPE], body)
    after = folded(before)
    assert operators(after) == ["conv2d", "add"]
    assert_computes_the_same(before, after)


def test_matrix_product() -> None:
    k = values(4, 6)
    before = module(
        [(3, 4)],
        lambda emit, x: emit(
            op.matmul(emit(op.add(emit(op.multiply(x, const(SCALE))), const(OFFSET))), const(k))
        ),
    )
    after = module(
        [(3, 4)],
        lambda emit, x: emit(op.add(emit(op.matmul(x, const(k * SCALE[:, None]))), const([OFFSET @ k]))),
    )
    assert_same(folded(before), after)


def test_channels_of_a_batch_of_matrices_are_its_last_axis() -> None:
    k = values(4, 6)
    before = module(
        [(2, 4, 4)], lambda emit, x: emit(op.matmul(emit(op.multiply(x, const(SCALE))), const(k)))
    )
    after = module([(2, 4, 4)], lambda emit, x: emit(op.matmul(x, const(k * SCALE[:, None]))))
    assert_same(folded(before), after)


def test_every_convolution_that_reads_the_sum_takes_it() -> None:
    def body(emit, x):
        y = emit(plus(emit(times(x))))
        return emit(conv(y, POINTWISE)), emit(conv(y, POINTWISE[:3], strides=2))

    before = module([SHAPE], body)
    after = folded(before)
    assert sorted(operators(after)) == ["add", "add", "conv2d", "conv2d"]
    assert_computes_the_same(before, after)


def test_scale_folds_through_a_shift() -> None:
    before = module(
        [SHAPE], lambda emit, x: emit(conv(emit(conv(emit(times(x)), SHIFT, 1, groups=4)), SQUARE, 1))
    )
    after = module(
        [SHAPE],
        lambda emit, x: emit(conv(emit(conv(x, SHIFT, 1, groups=4)), SQUARE * SCALE[:, None, None], 1)),
    )
    assert_same(folded(before), after)
    assert_computes_the_same(before, after)


def test_shifts_with_fused_normalisations_are_shifts() -> None:
    """What both PyTorch exporters write for shift, batch norm, shift, batch norm, 1 x 1 convolution."""

    def body(emit, x):
        x = emit(op.nn.relu(x))
        x = emit(conv(x, one_hot(TAPS, SCALE), 1, groups=4))
        x = emit(plus(emit(conv(x, one_hot(TAPS[::-1], SCALE), 1, 2, groups=4))))
        return emit(op.add(emit(conv(x, POINTWISE)), channelwise(*values(6))))

    before = module([SHAPE], body)
    after = canonicalize(before)
    assert operators(after) == ["relu", "conv2d", "conv2d", "conv2d", "add"]
    shifts = [node.args[1].value.numpy() for node in Graph.read(after).nodes[1:3]]
    np.testing.assert_array_equal(shifts, [SHIFT, one_hot(TAPS[::-1])])
    assert_computes_the_same(before, after)


def _padded_reader_of_a_sum(emit, x):
    return emit(conv(emit(plus(x)), SQUARE, 1))


def _one_padded_reader_of_two(emit, x):
    y = emit(plus(x))
    return emit(conv(y, POINTWISE)), emit(conv(y, SQUARE, 1))


def _offset_in_front_of_a_shift(emit, x):
    return emit(conv(emit(conv(emit(plus(x)), SHIFT, 1, groups=4)), POINTWISE))


def _shift_with_two_readers(emit, x):
    y = emit(conv(emit(times(x)), SHIFT, 1, groups=4))
    return emit(conv(y, POINTWISE)), emit(conv(y, SQUARE))


def _other_reader(emit, x):
    y = emit(times(x))
    return emit(conv(y, POINTWISE)), emit(op.nn.relu(y))


def _returned(emit, x):
    y = emit(times(x))
    return y, emit(conv(y, POINTWISE))


def _reader_is_a_shift(emit, x):
    return emit(conv(emit(times(x)), SHIFT, 1, groups=4))


def _bias_of_a_convolution(emit, x):
    return emit(conv(emit(plus(emit(conv(x, values(4, 4, 1, 1))))), POINTWISE))


def _number(emit, x):
    return emit(conv(emit(op.multiply(emit(op.nn.gelu(x)), const(0.5))), POINTWISE))


def _along_rows(emit, x):
    return emit(conv(emit(op.multiply(x, const(values(1, 1, 5, 1)))), POINTWISE))


@pytest.mark.parametrize(
    "body",
    [
        _padded_reader_of_a_sum,
        _one_padded_reader_of_two,
        _offset_in_front_of_a_shift,
        _shift_with_two_readers,
        _other_reader,
        _returned,
        _reader_is_a_shift,
        _bias_of_a_convolution,
        _number,
        _along_rows,
    ],
)
def test_what_cannot_be_folded_stays(body) -> None:
    mod = module([SHAPE], body)
    assert_same(folded(mod), mod)
