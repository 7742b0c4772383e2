"""Half-open boxes of output positions (n, h, w), and the boxes that an affine read makes of them."""

from __future__ import annotations

import attrs

Triple = tuple[int, int, int]


@attrs.frozen
class Box:
    """All (n, h, w) with `start[axis] <= position[axis] < stop[axis]`."""

    start: Triple
    stop: Triple

    @classmethod
    def whole(cls, extents: Triple) -> Box:
        """The box from the origin to `extents`."""
        return cls((0, 0, 0), extents)

    def __str__(self) -> str:
        return f"{self.start} to {self.stop}"

    @property
    def extents(self) -> Triple:
        (a, b, c), (d, e, f) = self.start, self.stop
        return (d - a, e - b, f - c)

    @property
    def volume(self) -> int:
        a, b, c = self.extents
        return a * b * c

    def inside(self, other: Box) -> bool:
        """True if no position of this box is outside `other`, and this box is not empty."""
        return all(
            o0 <= a < b <= o1
            for a, b, o0, o1 in zip(self.start, self.stop, other.start, other.stop, strict=True)
        )

    def intersect(self, other: Box) -> Box | None:
        """The positions in both boxes, or None."""
        (a, b, c), (d, e, f) = self.start, self.stop
        (p, q, r), (s, t, u) = other.start, other.stop
        start, stop = (max(a, p), max(b, q), max(c, r)), (min(d, s), min(e, t), min(f, u))
        if start[0] >= stop[0] or start[1] >= stop[1] or start[2] >= stop[2]:
            return None
        return Box(start, stop)

    def joined(self, high: Box, axis: int) -> Box | None:
        """One box for both where `high` begins where this one ends along `axis` and is as wide elsewhere."""
        for other in range(3):
            if other != axis and (self.start[other], self.stop[other]) != (
                high.start[other],
                high.stop[other],
            ):
                return None
        return Box(self.start, high.stop) if self.stop[axis] == high.start[axis] else None


def preimage(target: Box, offset: Triple, stride: Triple, within: Box) -> Box | None:
    """The positions p of `within` whose reads `p * stride + offset` lie in `target`, or None."""
    start, stop = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        low, high = within.start[axis], within.stop[axis]
        first, last = target.start[axis] - offset[axis], target.stop[axis] - 1 - offset[axis]
        step = stride[axis]
        if step < 0:
            first, last, step = -last, -first, -step
        if step == 0:
            if not first <= 0 <= last:
                return None
        else:
            low, high = max(low, -(-first // step)), min(high, last // step + 1)
        if low >= high:
            return None
        start[axis], stop[axis] = low, high
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
