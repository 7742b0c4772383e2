"""Sums of float32 products as a chain of fused multiply-adds computes them: one rounding for every step.

    s := round32(s + a b)

The product of two float32 is exact in float64, so the sum is rounded twice: to float64, then to float32. That
differs from rounding once only where the first rounding arrives at the middle between two float32; there the
error of the addition (Knuth's TwoSum) says on which side of the middle the exact sum lies (cf. Boldo and
Melquiond, "Emulation of FMA and Correctly Rounded Sums", 2008). Exact for results that are normal numbers;
below 2**-126 a result may be off by one unit in the last place, 2**-149.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
Factor = Values | np.float32

_CHUNK = 8192
"""Sums that advance together: they and what they need stay in the second cache."""

_DROPPED = np.int64((1 << 29) - 1)
_MIDDLE = np.int64(1 << 28)
"""Of a float64's bits, those that float32 lacks, and their value in the middle between two float32."""


def multiply_add(a: Values, b: Factor, c: Factor) -> Values:
    """`a b + c`, rounded once; operands are broadcast."""
    with _beyond_float32_is_infinite():
        product = np.multiply(a, b, dtype=np.float64)
        shape = np.broadcast_shapes(product.shape, np.shape(c))
        return _Sum(np.array(np.broadcast_to(c, shape), np.float64)).add(np.broadcast_to(product, shape))


def sums_of_products(weights: Values, columns: Values, starts: Values) -> Values:
    """`starts[g, o] + sum_k weights[g, o, k] columns[g, k, p]`, one multiply-add after the other.

    weights [G, O, K], columns [G, K, P], starts [G, O] → [G, O, P].
    """
    groups, rows, _ = weights.shape
    pixels = columns.shape[2]
    sums = np.empty((groups, rows, pixels), np.float32)
    across = min(pixels, _CHUNK)
    down = min(rows, max(1, _CHUNK // across))
    deep = min(groups, max(1, _CHUNK // (across * down)))
    for g in range(0, groups, deep):
        for o in range(0, rows, down):
            for p in range(0, pixels, across):
                part, beside = np.s_[g : g + deep, o : o + down], np.s_[p : p + across]
                chain = _chain(weights[part], columns[g : g + deep, :, beside], starts[part])
                sums[g : g + deep, o : o + down, beside] = chain
    return sums


def _chain(weights: Values, columns: Values, starts: Values) -> Values:
    """`sums_of_products` of a chunk."""
    factors, values = weights.astype(np.float64), columns.astype(np.float64)
    total = np.repeat(starts[:, :, None].astype(np.float64), columns.shape[2], axis=2)
    product, sums = np.empty_like(total), _Sum(total)
    with _beyond_float32_is_infinite():
        for k in range(weights.shape[2]):
            sums.add(np.multiply(factors[:, :, k, None], values[:, None, k], out=product))
    return sums.rounded


def _beyond_float32_is_infinite() -> np.errstate:
    return np.errstate(over="ignore", invalid="ignore")


class _Sum:
    """float32 sums, held as float64, to which products are added."""

    def __init__(self, total: Wide) -> None:
        self.rounded = total.astype(np.float32)
        self._total = total
        self._added = np.empty_like(total)
        self._bits = np.empty(total.shape, np.int64)
        self._doubtful = np.empty(total.shape, np.bool_)

    def add(self, product: Wide) -> Values:
        """The sums with the products, rounded once; the array is overwritten by the next call."""
        added = np.add(self._total, product, out=self._added)
        np.bitwise_and(added.view(np.int64), _DROPPED, out=self._bits)
        if np.equal(self._bits, _MIDDLE, out=self._doubtful).any():
            at = np.nonzero(self._doubtful)
            added[at] = _off_the_middle(self._total[at], product[at], added[at])
        np.copyto(self.rounded, added, casting="same_kind")
        np.copyto(self._total, self.rounded)
        return self.rounded


def _off_the_middle(a: Wide, b: Wide, added: Wide) -> Wide:
    """a + b, moved to the side on which the exact sum lies."""
    part = added - a
    error = (a - (added - part)) + (b - part)
    return np.where(error == 0, added, np.nextafter(added, np.copysign(np.inf, error)))
