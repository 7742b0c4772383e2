"""Operators without a template are evaluated as TVM compiles them, without compiling them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tvm import relax
from tvm.ir import Expr
from tvm.relax import op

from tests.passes.modules import Array, const, module, run_with_tvm
from tvm_passes.graph import Graph
from tvm_passes.interpret import ProgramError, tir
from tvm_passes.interpret.errors import Where
from tvm_passes.lowering.generic import GenericOperator, legalize
from tvm_passes.relax_values import constant_of, dtype_of, shape_of

X = np.random.default_rng(0).standard_normal((1, 3, 6, 6)).astype("float32")
WHERE = Where("a step", "a kernel")

OPERATORS: dict[str, Callable[[Expr], Expr]] = {
    "average": lambda x: op.nn.avg_pool2d(x, (3, 3), (1, 1), (1, 1)),
    "largest index": lambda x: op.argmax(x, 1),
    "smallest index of all": lambda x: op.argmin(x, None),
    "softmax along rows": lambda x: op.nn.softmax(x, -1),
    "product of matrices": lambda x: op.matmul(x, x),
    "bilinear": lambda x: op.image.resize2d(x, (10, 11), layout="NCHW", method="linear"),
    "cubic": lambda x: op.image.resize2d(x, (10, 11), layout="NCHW", method="cubic"),
    "transposed convolution": lambda x: op.nn.conv2d_transpose(x, const(np.ones((3, 4, 2, 2))), strides=2),
    "convolution": lambda x: op.nn.conv2d(x, const(np.ones((4, 3, 3, 3))), padding=1),
    "product": lambda x: op.prod(x, [2]),
    "variance": lambda x: op.variance(x, [1]),
    "layer norm of rows": lambda x: op.nn.layer_norm(x, const(np.ones(6)), const(np.ones(6)), axes=[3]),
    "error function": lambda x: op.erf(x),
    "arc tangent": lambda x: op.atan(x),
    "rounding": lambda x: op.round(op.multiply(x, const(3.0))),
    "remainder": lambda x: op.mod(x, const(0.7)),
    "whole quotient": lambda x: op.floor_divide(x, const(0.7)),
    "choice": lambda x: op.where(op.greater(x, const(0.0)), x, const(1.0)),
    "integers": lambda x: op.astype(op.multiply(x, const(9.0)), "int32"),
    "halves": lambda x: op.astype(x, "float16"),
    "rows by number": lambda x: op.take(x, relax.const(np.array([2, 0])), 1),
    "mirrored border": lambda x: op.nn.pad(x, [0, 0, 0, 0, 1, 1, 2, 0], "reflect"),
}


@pytest.fixture(scope="module")
def expected() -> dict[str, Array]:
    """What TVM makes of all of them, compiled at once."""
    mod = module([X.shape], lambda emit, x: tuple(emit(function(x)) for function in OPERATORS.values()))
    return dict(zip(OPERATORS, run_with_tvm(mod, [X]), strict=True))


def operators(function: Callable[[Expr], Expr]) -> list[GenericOperator]:
    """Those that TVM makes of it."""
    mod = module([X.shape], lambda emit, x: emit(function(x)))
    return [operator for node in Graph.read(mod).nodes for operator in legalize(node, mod)[0]]


def evaluated(function: Callable[[Expr], Expr]) -> Array:
    """The result, operator by operator."""
    values: dict[str, Array] = {"x0": X}
    result = X
    for operator in operators(function):
        constants = [constant_of(value) for value in operator.inputs]
        inputs = [
            values[value.name] if constant is None else constant
            for value, constant in zip(operator.inputs, constants, strict=True)
        ]
        outputs = [(shape_of(v), dtype_of(v)) for v in operator.results]
        (result,) = tir.evaluate_function(operator.func, inputs, outputs, WHERE)
        values[operator.results[0].name] = result
    return result


@pytest.mark.parametrize("name", OPERATORS)
def test_it_computes_what_is_compiled(
    name: str, expected: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tir, "_compiled", lambda *_: pytest.fail("it was compiled"))
    got, want = evaluated(OPERATORS[name]), expected[name]
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got.astype("float64"), want.astype("float64"), rtol=1e-5, atol=1e-5)


def test_a_load_out_of_bounds_is_an_error() -> None:
    (operator,) = operators(lambda x: op.take(x, relax.const(np.array([0, 3])), 1, mode="fast"))
    inputs = [X, np.array([0, 3])]
    with pytest.raises(
        ProgramError, match=r"a step, kernel a kernel: reads .* beyond its 3 elements along axis 1"
    ):
        tir.evaluate_function(
            operator.func, inputs[: len(operator.inputs)], [((1, 2, 6, 6), "float32")], WHERE
        )
