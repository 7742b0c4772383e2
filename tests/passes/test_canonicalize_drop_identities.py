"""Operators that change neither shape nor values are gone."""

from functools import partial

import pytest
from tvm.relax import op

from tests.passes.modules import apply_rule, assert_same, const, module, operators
from tvm_passes.canonicalize.drop_identities import drop_identities

SHAPE = (1, 4, 3, 3)

dropped = partial(apply_rule, drop_identities)


@pytest.mark.parametrize(
    "identity",
    [
        lambda x: op.reshape(x, SHAPE),
        lambda x: op.broadcast_to(x, SHAPE),
        lambda x: op.astype(x, "float32"),
        lambda x: op.multiply(x, const(1)),
        lambda x: op.multiply(const([[[[1.0]]]]), x),
        lambda x: op.multiply(x, const([[[1.0]], [[1.0]], [[1.0]], [[1.0]]])),
        lambda x: op.add(x, const(0)),
        lambda x: op.add(const(0), x),
    ],
)
def test_identity_is_dropped(identity) -> None:
    before = module([SHAPE], lambda emit, x: emit(op.nn.relu(emit(identity(emit(identity(x)))))))
    after = module([SHAPE], lambda emit, x: emit(op.nn.relu(x)))
    assert_same(dropped(before), after)


def test_dropout_at_inference_is_dropped() -> None:
    from tvm.ir import TupleGetItem

    before = module(
        [SHAPE], lambda emit, x: emit(op.nn.relu(emit(TupleGetItem(emit(op.nn.dropout(x, 0.5)), 0))))
    )
    assert operators(before) == ["dropout", "tuple_get_item", "relu"]
    assert operators(dropped(before)) == ["relu"]


@pytest.mark.parametrize(
    "operator",
    [
        lambda x: op.reshape(x, (1, 4, 9)),
        lambda x: op.astype(x, "float16"),
        lambda x: op.multiply(x, const(2)),
        lambda x: op.multiply(x, const([[[[1.0]], [[2.0]], [[1.0]], [[1.0]]]])),
        lambda x: op.add(x, const(1)),
        lambda x: op.add(const([[[[[0.0]]]]]), x),  # makes it rank 5
        lambda x: op.broadcast_to(x, (2, 4, 3, 3)),
    ],
)
def test_what_changes_something_stays(operator) -> None:
    mod = module([SHAPE], lambda emit, x: emit(operator(x)))
    assert_same(dropped(mod), mod)
