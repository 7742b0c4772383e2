"""Operators on constants are computed when compiling."""

from functools import partial

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from tests.passes.modules import apply_rule, assert_same, const, module, operators, values
from tvm_passes.canonicalize.fold_constants import fold_constants
from tvm_passes.graph import Graph

A, B = values(2, 3), values(2, 3, seed=1)

folded = partial(apply_rule, fold_constants)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (lambda: op.add(const(A), const(B)), A + B),
        (lambda: op.subtract(const(A), const(B)), A - B),
        (lambda: op.multiply(const(A), const([2.0])), A * 2),
        (lambda: op.divide(const(A), const([4.0])), A / 4),
        (lambda: op.maximum(const(A), const(B)), np.maximum(A, B)),
        (lambda: op.minimum(const(A), const(B)), np.minimum(A, B)),
        (lambda: op.power(const(A), const([2.0])), A**2),
        (lambda: op.sqrt(const(A * A)), np.abs(A)),
        (lambda: op.negative(const(A)), -A),
        (lambda: op.abs(const(A)), np.abs(A)),
        (lambda: op.where(op.less(const(A), const(B)), const(A), const(B)), np.minimum(A, B)),
        (lambda: op.zeros_like(const(A)), np.zeros_like(A)),
        (lambda: op.add(op.ones_like(const(A)), const(A)), 1 + A),
        (lambda: op.broadcast_to(const(A[:, :1]), (2, 3)), np.broadcast_to(A[:, :1], (2, 3))),
        (lambda: op.reshape(op.permute_dims(op.reshape(const(A), (3, 2))), (2, 3)), A.reshape(3, 2).T),
        (lambda: op.reshape(op.expand_dims(const(A), 0), (2, 3)), A),
        (lambda: op.squeeze(op.reshape(const(A), (1, 2, 3)), [0]), A),
        (lambda: op.astype(relax.const(A.astype("int32")), "float32"), A),
    ],
)
def test_is_what_numpy_computes(expression, expected) -> None:
    before = module([(2, 3)], lambda emit, x: emit(op.add(x, emit(expression()))))
    after = module([(2, 3)], lambda emit, x: emit(op.add(x, const(expected))))
    assert_same(folded(before), after)


def test_int64_stays_int64() -> None:
    indices = relax.const(np.array([0, 2]), "int64")

    def body(emit, x):
        twice = emit(op.add(emit(op.add(indices, indices)), indices))
        return emit(op.take(x, twice, axis=1))

    mod = folded(module([(2, 9)], body))
    (take,) = Graph.read(mod).nodes
    assert str(take.args[1].ty.dtype) == "int64"
    assert take.args[1].value.numpy().tolist() == [0, 6]


def test_a_constant_output_is_computed_too() -> None:
    before = module([(2, 3)], lambda emit, x: (x, emit(op.add(const(A), const(B)))))
    graph = Graph.read(folded(before))
    assert graph.nodes == []
    np.testing.assert_array_equal(graph.outputs[1].value.numpy(), A + B)


def test_what_reads_an_input_stays() -> None:
    mod = module([(2, 3)], lambda emit, x: emit(op.add(emit(op.multiply(x, const(A))), const(B))))
    assert_same(folded(mod), mod)


def test_an_operator_without_a_numpy_function_stays() -> None:
    mod = module([(2, 3)], lambda emit, x: emit(op.add(x, emit(op.sin(const(A))))))
    assert operators(folded(mod)) == ["sin", "add"]
