"""Which of an operand's rows (or columns) some of a result's are computed from.

    results [a, b)  ←  elements from ceil((a * stride + low) / spacing)
                       up to, without, ceil(((b - 1) * stride + high) / spacing)

A window of k taps, dilated by d, with p of padding in front, has low = -p and high = (k - 1) d - p + 1.
With a spacing of 1, neighbouring runs of results share high - low - stride elements: the halo.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Reach:
    """See the module's docstring. What lies outside the plane is padding.

    spacing: how far apart the window takes the elements to lie, zeros between them.
    """

    stride: int
    low: int
    high: int
    spacing: int = 1

    @classmethod
    def of_window(cls, kernel: int, stride: int, padding: int, dilation: int, spacing: int = 1) -> Reach:
        """Of a window along one axis."""
        return cls(stride, -padding, (kernel - 1) * dilation - padding + 1, spacing)

    def through(self, stride: int, low: int, high: int) -> Reach:
        """Of a view's elements → of the tensor behind it, whose i * stride + low … high show as element i.

        Where elements are spaced, the view has all of them: a stride of 1.
        """
        assert stride == 1 or self.spacing == 1, "a spaced window over a view with a stride"
        spacing = self.spacing
        last = (self.high - 1) * stride + high * spacing
        return Reach(self.stride * stride, self.low * stride + low * spacing, last + 1, spacing)

    def first(self, start: int) -> int:
        """The first element that results from `start` on read."""
        return -(-(start * self.stride + self.low) // self.spacing)

    def last(self, count: int) -> int:
        """The element behind the last that the first `count` results read; there must be one."""
        return -(-((count - 1) * self.stride + self.high) // self.spacing)
