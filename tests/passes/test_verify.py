"""Comparing modules by running them."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from tests.passes.modules import const, module
from tvm_passes.verify import has_steps, verify_same

SHAPE = (2, 3)


def of(function):
    return module([SHAPE], lambda emit, x: function(emit, x))


def scaled(factor: float):
    return of(lambda emit, x: emit(op.multiply(x, const(factor))))


def test_the_same() -> None:
    assert verify_same(scaled(2), of(lambda emit, x: emit(op.add(x, x)))) is None


def test_rounding_is_the_same() -> None:
    assert verify_same(scaled(1), scaled(1 + 1e-6)) is None


@pytest.mark.parametrize(
    ("after", "difference"),
    [
        (scaled(1.01), "output 0 differs by "),
        (of(lambda emit, x: emit(op.permute_dims(x))), "output 0 of type float32(2, 3) became float32(3, 2)"),
        (of(lambda emit, x: emit(op.astype(x, "float16"))), "output 0 of type float32(2, 3) became float16"),
        (of(lambda emit, x: (emit(op.nn.relu(x)), x)), "1 outputs became 2"),
        (of(lambda emit, x: emit(op.multiply(x, const(np.nan)))), "output 0 differs by nan"),
        (of(lambda emit, x: emit(op.divide(x, const([0.0])))), "output 0 differs by inf"),
    ],
)
def test_differences_are_named(after, difference: str) -> None:
    assert str(verify_same(scaled(1), after)).startswith(difference)


def test_what_is_not_a_number_on_both_sides_is_the_same() -> None:
    root = of(lambda emit, x: emit(op.sqrt(x)))
    assert verify_same(root, root) is None
    assert verify_same(root, scaled(1)) is not None


def test_a_difference_in_the_second_output_is_found() -> None:
    before = of(lambda emit, x: (emit(op.nn.relu(x)), emit(op.nn.relu(x))))
    after = of(lambda emit, x: (emit(op.nn.relu(x)), emit(op.abs(x))))
    assert str(verify_same(before, after)).startswith("output 1 differs by")


def test_integers_must_be_equal() -> None:
    def shifted(by: int):
        x = relax.Var("x", relax.TensorType((1000,), "int64"))
        builder = relax.BlockBuilder()
        with builder.function("main", [x]):
            with builder.dataflow():
                large = builder.emit(op.add(x, relax.const(1000000 + by, "int64")))
                out = builder.emit_output(large)
            builder.emit_func_output(out)
        return builder.get()

    assert verify_same(shifted(0), shifted(0)) is None
    assert str(verify_same(shifted(0), shifted(1))).startswith("output 0 differs by 1 of ")


def test_few_elements_may_lie_beyond_a_step() -> None:
    """Halves fall to either side; where all do, or nothing has steps, that is a difference."""

    def rounded(offsets: list[float]):
        return of(lambda emit, x: emit(op.round(emit(op.add(op.multiply(x, const(0.0)), const([offsets]))))))

    before = rounded([0.25, 0.5, 0.75])
    assert has_steps(before)
    assert not has_steps(scaled(1))
    assert verify_same(before, rounded([0.25, 0.5 + 1e-6, 0.75])) == "output 0 differs by 1 of 1"
    ordered = of(lambda emit, x: emit(op.astype(op.greater(x, const(0.0)), "float32")))
    assert has_steps(ordered)
    other = np.zeros((2, 3), "float32")
    other[0, 0] = 1.0
    one_off = of(lambda emit, x: emit(op.round(op.add(op.multiply(x, const(0.0)), const(other.tolist())))))
    none_off = of(lambda emit, x: emit(op.round(op.multiply(x, const(0.0)))))
    assert verify_same(none_off, one_off) is None
    assert verify_same(of(lambda emit, x: emit(op.multiply(x, const(0.0)))), one_off) is not None
