"""Which of an operand's rows (or columns) some of a result's are computed from.

    results [a, b)  ←  elements [a * stride + low, (b - 1) * stride + high)

A window of k taps, dilated by d, with p of padding in front, has low = -p and high = (k - 1) d - p + 1.
Neighbouring runs of results share high - low - stride elements: the halo.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Reach:
    """See the module's docstring. What lies outside the plane is padding."""

    stride: int
    low: int
    high: int

    @classmethod
    def of_window(cls, kernel: int, stride: int, padding: int, dilation: int) -> Reach:
        """Of a window along one axis."""
        return cls(stride, -padding, (kernel - 1) * dilation - padding + 1)

    def through(self, stride: int, low: int, high: int) -> Reach:
        """Of a view's elements → of the tensor behind it, whose i * stride + low … high show as element i."""
        return Reach(self.stride * stride, self.low * stride + low, (self.high - 1) * stride + high + 1)

    def first(self, start: int) -> int:
        """The first element that results from `start` on read."""
        return start * self.stride + self.low

    def last(self, count: int) -> int:
        """The element behind the last that the first `count` results read; there must be one."""
        return (count - 1) * self.stride + self.high
