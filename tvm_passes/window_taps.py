"""What windows read along one axis of a plane, element by element, and how much of each counts."""

from __future__ import annotations

import attrs
import numpy as np

from .array import Array


@attrs.frozen(eq=False)
class WindowTaps:
    """Of every result along an axis.

    index:  int64 [results, taps], inside the plane.
    weight: float32 [results, taps], what a sum takes each times; a maximum takes all alike.
    """

    index: Array
    weight: Array

    @property
    def count(self) -> int:
        """Taps of a result."""
        return int(self.index.shape[1])

    def first(self, start: int) -> int:
        """The first element that results from `start` on read."""
        return int(self.index[start:].min())

    def last(self, count: int) -> int:
        """The element behind the last that the first `count` results read; there must be one."""
        return int(self.index[:count].max()) + 1


def has_empty(kernel: int, stride: int, padding: int, dilation: int, results: int, size: int) -> bool:
    """Whether some window has no tap inside an axis of `size` elements."""
    return not _inside(_taps(kernel, stride, padding, dilation, results), size).any(axis=1).all()


def window_taps(
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    results: int,
    size: int,
    count_padding: bool,
) -> WindowTaps:
    """The taps of a pool along an axis of `size` elements, with the shares of an average.

    For a tap outside, the nearest tap of the window inside is read once more, and its share is divided: so
    what a window does not hold has no part in it, not even zero times an infinity. With `count_padding`, taps
    in the padding count in the divisor, but none beyond it do (ceil mode).
    """
    taps = _taps(kernel, stride, padding[0], dilation, results)
    inside = _inside(taps, size)
    order = np.arange(kernel)
    distance = np.where(inside[:, None, :], np.abs(order[:, None] - order), 2 * kernel)
    nearest = distance.argmin(axis=2)
    index = np.take_along_axis(taps, nearest, axis=1).clip(0, size - 1)
    counted = (taps < size + padding[1]) if count_padding else inside
    share = inside.any(axis=1, keepdims=True) / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    times = (nearest[:, :, None] == nearest[:, None, :]).sum(axis=2)
    return WindowTaps(index, (share / times).astype(np.float32))


def _taps(kernel: int, stride: int, padding: int, dilation: int, results: int) -> Array:
    starts = np.arange(results)[:, None] * stride - padding
    return np.asarray(starts + np.arange(kernel) * dilation)


def _inside(taps: Array, size: int) -> Array:
    return np.asarray((taps >= 0) & (taps < size))
