"""A sum over a stack is a chain of additions."""

from functools import partial

import pytest
from tvm.relax import op

from tests.passes.modules import (
    apply_rule,
    assert_computes_the_same,
    assert_same,
    module,
)
from tvm_passes.canonicalize.split_sums import split_sums

SHAPE = (1, 4, 3, 3)

split = partial(apply_rule, split_sums)


def test_sum_of_three() -> None:
    before = module([SHAPE] * 3, lambda emit, *xs: emit(op.sum(emit(op.stack(xs, 0)), [0])))
    after = module([SHAPE] * 3, lambda emit, x, y, z: emit(op.add(emit(op.add(x, y)), z)))
    assert_same(split(before), after)
    assert_computes_the_same(before, after)


@pytest.mark.parametrize(
    "reduced",
    [
        lambda emit, x, y: emit(op.sum(emit(op.stack((x, y), 0)), [1])),
        lambda emit, x, y: emit(op.sum(emit(op.stack((x, y), 1)), [0])),
        lambda emit, x, y: emit(op.sum(emit(op.stack((x, y), 0)), [0], keepdims=True)),
        lambda emit, x, y: emit(op.sum(emit(op.stack((x, y), 0)))),
        lambda emit, x, y: emit(op.sum(emit(op.concat((x, y), 0)), [0])),
        lambda emit, x, y: emit(op.max(emit(op.stack((x, y), 0)), [0])),
    ],
)
def test_other_reductions_stay(reduced) -> None:
    mod = module([SHAPE] * 2, reduced)
    assert_same(split(mod), mod)
