"""Sums of fused multiply-adds: every step rounded once, as exact fractions say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_passes.staged.fused import multiply_add, sums_of_products

NORMAL = st.floats(2.0**-60, 2.0**60, width=32) | st.floats(-(2.0**60), -(2.0**-60), width=32)


def _rounded(exact: Fraction) -> np.float32:
    """The float32 nearest to a fraction, the even one of two."""
    near = np.float32(float(exact))
    around = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.int32)) & 1))


@settings(max_examples=300, deadline=None)
@given(NORMAL, NORMAL, NORMAL)
def test_one_rounding(a: float, b: float, c: float) -> None:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    result = multiply_add(*(np.array([x], np.float32) for x in (a, b, c)))
    if abs(exact) >= Fraction(2) ** -126:
        assert result[0] == _rounded(exact)


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [
        (2.0**-24 * (1 + 2.0**-11), 1 - 2.0**-11 + 2.0**-22, 1.0),  # 2**-57 above the middle, odd is above
        (2.0**-24 * (1 + 2.0**-23), 1 - 2.0**-23, 1 + 2.0**-23),  # 2**-70 below the middle, even is above
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_where_rounding_to_float64_first_differs(a: float, b: float, c: float, sign: float) -> None:
    expected = _rounded(Fraction(a) * Fraction(b) + Fraction(c)) * np.float32(sign)
    values = [np.array([x], np.float32) for x in (sign * a, b, sign * c)]
    assert multiply_add(*values)[0] == expected
    x, y, z = (value.astype(np.float64) for value in values)
    assert (x * y + z).astype(np.float32)[0] != expected


def test_infinities_and_what_is_no_number() -> None:
    a = np.array([np.inf, np.inf, np.nan, 1.0, 3e38], np.float32)
    c = np.array([1.0, -np.inf, 1.0, np.inf, 3e38], np.float32)
    np.testing.assert_array_equal(
        multiply_add(a, np.ones(5, np.float32), c), [np.inf, np.nan, np.nan, np.inf, np.inf]
    )


def test_chains_in_chunks_have_the_bits_of_steps_alone() -> None:
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((3, 70, 5)).astype(np.float32)
    columns = generator.standard_normal((3, 5, 301)).astype(np.float32)
    starts = generator.standard_normal((3, 70)).astype(np.float32)
    expected = np.repeat(starts[:, :, None], 301, axis=2)
    for k in range(5):
        expected = multiply_add(weights[:, :, k, None], columns[:, None, k], expected)
    assert sums_of_products(weights, columns, starts).tobytes() == expected.tobytes()
