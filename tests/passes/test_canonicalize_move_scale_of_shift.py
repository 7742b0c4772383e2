"""The scale and bias that a BatchNorm left in a shift move into the convolutions that read it."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import tvm
from tvm.ir import Expr, Var
from tvm.relax import op

from tests.passes.modules import (
    apply_rule,
    assert_same,
    channelwise,
    conv,
    module,
    one_hot,
    operators,
    values,
)
from tvm_passes.canonicalize.move_scale_of_shift import move_scale_of_shift
from tvm_passes.graph import Graph
from tvm_passes.verify import verify_same

SHAPE = (1, 4, 5, 5)
TAPS = [(0, 1), (1, 1), (2, 0), (1, 2)]
SCALE = (2.0, 1.0, -0.5, 4.0)
BIAS = (1.0, 0.0, -2.0, 0.5)
Emit = Callable[..., Var]

rewritten = partial(apply_rule, move_scale_of_shift)


def scaled_shift(emit: Emit, x: Var, bias: Sequence[float] | None = None) -> Expr:
    shift = emit(conv(x, one_hot(TAPS, SCALE), padding=1, groups=4))
    return shift if bias is None else emit(op.add(shift, channelwise(*bias)))


def scaled(weight: np.ndarray) -> np.ndarray:
    return weight * np.array(SCALE, "float32")[:, None, None]


def test_scale_moves_into_the_pointwise_weights() -> None:
    weight = values(3, 4, 1, 1)
    before = module([SHAPE], lambda emit, x: conv(scaled_shift(emit, x), weight))

    def expected(emit: Emit, x: Var) -> Expr:
        return conv(emit(conv(x, one_hot(TAPS), padding=1, groups=4)), scaled(weight))

    assert_same(rewritten(before), module([SHAPE], expected))
    assert verify_same(before, rewritten(before)) is None


def test_bias_moves_behind_the_convolution() -> None:
    weight = values(3, 4, 1, 1)
    before = module([SHAPE], lambda emit, x: conv(scaled_shift(emit, x, BIAS), weight))

    def expected(emit: Emit, x: Var) -> Expr:
        shift = emit(conv(x, one_hot(TAPS), padding=1, groups=4))
        bias = weight[:, :, 0, 0] @ np.array(BIAS, "float32")
        return op.add(emit(conv(shift, scaled(weight))), channelwise(*bias))

    assert_same(rewritten(before), module([SHAPE], expected))
    assert verify_same(before, rewritten(before)) is None


@pytest.mark.parametrize(
    "readers",
    [
        lambda shift: (conv(shift, values(4, 2, 3, 3), groups=2),),
        lambda shift: (conv(shift, values(3, 4, 1, 1)), conv(shift, values(2, 4, 1, 1), strides=2)),
    ],
    ids=["grouped 3x3", "two readers"],
)
def test_any_convolution_takes_scale_and_bias(readers: Callable[[Expr], tuple[Expr, ...]]) -> None:
    before = module([SHAPE], lambda emit, x: readers(scaled_shift(emit, x, BIAS)))
    after = rewritten(before)
    shift = Graph.read(after).nodes[0].args[1].value.numpy()
    assert set(np.unique(shift)) == {0, 1}
    assert verify_same(before, after) is None


def test_a_padded_convolution_takes_a_scale() -> None:
    weight = values(3, 4, 3, 3)
    before = module([SHAPE], lambda emit, x: conv(scaled_shift(emit, x), weight, padding=1))
    assert operators(rewritten(before)) == ["conv2d", "conv2d"]
    assert verify_same(before, rewritten(before)) is None


REFUSED: dict[str, Callable[[Emit, Var], Expr]] = {
    "a bias and a padded window": lambda emit, x: conv(
        scaled_shift(emit, x, BIAS), values(3, 4, 3, 3), padding=1
    ),
    "an activation": lambda emit, x: op.nn.relu(scaled_shift(emit, x)),
    "an output": lambda emit, x: scaled_shift(emit, x),
    "weights that are no constant": lambda emit, x: op.nn.conv2d(
        scaled_shift(emit, x), emit(op.reshape(op.take(x, tvm.relax.const(0), 0), (25, 4, 1, 1)))
    ),
    "several taps": lambda emit, x: conv(emit(conv(x, values(4, 1, 3, 3), groups=4)), values(3, 4, 1, 1)),
    "nothing to move": lambda emit, x: conv(
        emit(conv(x, one_hot(TAPS), padding=1, groups=4)), values(3, 4, 1, 1)
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_others_stay(case: str) -> None:
    before = module([SHAPE], REFUSED[case])
    assert_same(rewritten(before), before)
