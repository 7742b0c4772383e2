"""Functions as short polynomials, one for each of equal segments of their argument.

    f(c) = sum_k C[k, i] c**k,  i = round(c * per_unit)

for c from zero to the middle of the last segment, where f has become zero. The powers are of c, not of its
distance from the segment's middle: where f falls off faster than they grow, no term exceeds one, so little is
lost when they cancel, and a multiply-add is all that a term costs.

The coefficients of a segment interpolate f at its Chebyshev nodes, in float64, which comes close to the best
polynomial: with n of them the error is at most max |f^(n)| 2 (width / 4)**n / n!.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray

Array = NDArray[np.float64]


@attrs.frozen
class Piecewise:
    """limit:      middle of the last segment.
    coefficients: for every power, the constant first, one float32 for each segment.
    """

    limit: float
    coefficients: tuple[tuple[float, ...], ...]

    @property
    def per_unit(self) -> float:
        """Segments in one unit of the argument."""
        return (len(self.coefficients[0]) - 1) / self.limit


def fit(function: Callable[[Array], Array], limit: float, segments: int, degree: int) -> Piecewise:
    """`function` from 0 to `limit`; from half a segment before that on it must be negligible.

    function: float64, of arrays of any length.
    """
    width = limit / (segments - 1)
    middles = (width * i for i in range(segments - 1))
    pieces = [_interpolated(function, max(0.0, m - width / 2), m + width / 2, degree) for m in middles]
    table = np.array([*pieces, np.zeros(degree + 1)], np.float32).T
    return Piecewise(limit, tuple(tuple(map(float, row)) for row in table))


def _interpolated(function: Callable[[Array], Array], low: float, high: float, degree: int) -> Array:
    """Coefficients, the constant first, of the polynomial through the Chebyshev nodes between two points."""
    polynomial = Chebyshev.interpolate(function, degree, domain=[low, high]).convert(kind=Polynomial)
    return np.pad(polynomial.coef, (0, degree + 1 - len(polynomial.coef)))
