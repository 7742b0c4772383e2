"""Activations that are spelled out in several operators become one step of a stage."""

import math

import pytest
from tvm.relax import op

from tests.passes.modules import (
    assert_computes_the_same,
    const,
    conv,
    module,
    stages,
    values,
)
from tvm_passes.fuse import fuse

W = values(4, 4, 1, 1)


def after_conv(body):
    """A convolution, and what `body` makes of it."""
    return module([(2, 4, 5, 5)], lambda emit, x: body(emit, emit(conv(x, W))))


DIAMONDS = {
    "silu": ("silu", lambda emit, y: emit(op.multiply(y, emit(op.sigmoid(y))))),
    "silu swapped": ("silu", lambda emit, y: emit(op.multiply(emit(op.sigmoid(y)), y))),
    "hard swish, gate divided": (
        "hard_swish",
        lambda emit, y: emit(
            op.multiply(y, emit(op.divide(emit(op.clip(emit(op.add(y, const(3))), 0, 6)), const(6))))
        ),
    ),
    "hard swish, gate multiplied": (
        "hard_swish",
        lambda emit, y: emit(
            op.multiply(emit(op.multiply(emit(op.clip(emit(op.add(y, const(3))), 0, 6)), const(1 / 6))), y)
        ),
    ),
    "hard swish of a hard sigmoid": (
        "hard_swish",
        lambda emit, y: emit(
            op.multiply(y, emit(op.clip(emit(op.add(emit(op.multiply(y, const(1 / 6))), const(0.5))), 0, 1)))
        ),
    ),
    "gelu": (
        "gelu",
        lambda emit, y: emit(op.multiply(emit(op.multiply(y, _erf_plus_one(emit, y))), const(0.5))),
    ),
    "gelu, gate halved": (
        "gelu",
        lambda emit, y: emit(op.multiply(y, emit(op.multiply(_erf_plus_one(emit, y), const(0.5))))),
    ),
    "gelu, operand halved": (
        "gelu",
        lambda emit, y: emit(op.multiply(emit(op.multiply(y, const(0.5))), _erf_plus_one(emit, y))),
    ),
    "gelu, scale multiplied": (
        "gelu",
        lambda emit, y: emit(
            op.multiply(
                emit(
                    op.multiply(
                        y, emit(op.add(emit(op.erf(emit(op.multiply(y, const(0.70710678))))), const(1)))
                    )
                ),
                const(0.5),
            )
        ),
    ),
}


def _erf_plus_one(emit, y):
    return emit(op.add(emit(op.erf(emit(op.divide(y, const(math.sqrt(2)))))), const(1)))


@pytest.mark.parametrize("name", DIAMONDS)
def test_activation_that_reads_its_operand_twice(name: str) -> None:
    kind, body = DIAMONDS[name]
    (stage,) = stages(fuse(after_conv(lambda emit, y: emit(op.nn.relu(body(emit, y))))))
    assert [operation.step.op.kind for operation in stage.epilogue] == [kind, "relu"]


ALMOST_DIAMONDS = {
    "another bound": lambda emit, y: emit(
        op.multiply(y, emit(op.divide(emit(op.clip(emit(op.add(y, const(3))), 0, 5)), const(6))))
    ),
    "another offset": lambda emit, y: emit(
        op.multiply(y, emit(op.divide(emit(op.clip(emit(op.add(y, const(2))), 0, 6)), const(6))))
    ),
    "another factor": lambda emit, y: emit(
        op.multiply(emit(op.multiply(y, _erf_plus_one(emit, y))), const(0.25))
    ),
    "a gate of a gate": lambda emit, y: emit(op.multiply(emit(op.sigmoid(emit(op.sigmoid(y)))), y)),
}


@pytest.mark.parametrize("name", ALMOST_DIAMONDS)
def test_other_functions_are_not_taken_for_activations(name: str) -> None:
    mod = after_conv(ALMOST_DIAMONDS[name])
    fused = fuse(mod)
    kinds = {operation.step.op.kind for stage in stages(fused) for operation in stage.epilogue}
    assert not kinds & {"silu", "hard_swish", "gelu"}
    assert_computes_the_same(mod, fused)


def test_a_value_that_others_read_inside_an_activation_ends_it() -> None:
    def body(emit, y):
        gate = emit(op.sigmoid(y))
        return emit(op.multiply(y, gate)), emit(op.nn.relu(gate))

    mod = after_conv(body)
    fused = fuse(mod)
    assert "silu" not in {o.step.op.kind for s in stages(fused) for o in s.epilogue}
    assert_computes_the_same(mod, fused)
