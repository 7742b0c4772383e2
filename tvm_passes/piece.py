"""One box of an output channel and the affine rule by which it is read from a source channel."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from .box import Box, Triple, preimage


@attrs.frozen
class Piece:
    """`out[n, c, h, w] = source[(n, h, w) * stride + offset]` of one source channel, for (n, h, w) in box."""

    box: Box
    source: int
    channel: int
    offset: Triple = (0, 0, 0)
    stride: Triple = (1, 1, 1)

    def normalized(self) -> Piece:
        """Stride 1 along the axes where the box is one wide: equal reads get equal pieces."""
        if all(s == 1 or e > 1 for s, e in zip(self.stride, self.box.extents, strict=True)):
            return self
        stride, offset = list(self.stride), list(self.offset)
        for axis, extent in enumerate(self.box.extents):
            if extent == 1:
                offset[axis] += self.box.start[axis] * (stride[axis] - 1)
                stride[axis] = 1
        (a, b, c), (d, e, f) = offset, stride
        return Piece(self.box, self.source, self.channel, (a, b, c), (d, e, f))

    def of(self, source: int, channel: int) -> Piece:
        """The same movement of another channel; quicker than attrs.evolve."""
        return Piece(self.box, source, channel, self.offset, self.stride)

    def read_box(self) -> Box:
        """The smallest box of the source that holds everything this piece reads."""
        start, stop = [], []
        for axis in range(3):
            first = self.box.start[axis] * self.stride[axis] + self.offset[axis]
            last = (self.box.stop[axis] - 1) * self.stride[axis] + self.offset[axis]
            start.append(min(first, last))
            stop.append(max(first, last) + 1)
        return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def through(self, inner: Piece) -> Piece | None:
        """This piece read out of a tensor of which `inner` is a piece of the same channel, or None."""
        box = preimage(inner.box, self.offset, self.stride, self.box)
        if box is None:
            return None
        (a, b, c), (d, e, f), (p, q, r) = self.offset, inner.offset, inner.stride
        s, t, u = self.stride
        return Piece(
            box, inner.source, inner.channel, (a * p + d, b * q + e, c * r + f), (s * p, t * q, u * r)
        ).normalized()


ChannelMap = tuple[Piece, ...]
"""The pieces of one output channel: disjoint boxes; what they leave is zero."""


def merge_pieces(pieces: Sequence[Piece]) -> ChannelMap:
    """The same reads in fewer pieces where neighbours continue each other, in order of their boxes."""
    merged = [p.normalized() for p in pieces]
    count = len(merged) + 1
    while 1 < len(merged) < count:
        count = len(merged)
        for axis in (2, 1, 0):
            merged = _merged_along(merged, axis)
    return tuple(sorted(merged, key=_place))


def _merged_along(pieces: Sequence[Piece], axis: int) -> list[Piece]:
    """Those in one line along the axis that read alike along the others, joined from the first on."""
    lines: dict[object, list[Piece]] = {}
    for piece in pieces:
        other = [a for a in range(3) if a != axis]
        rules = (piece.box.start, piece.box.stop, piece.offset, piece.stride)
        key = (piece.source, piece.channel, *(rule[a] for rule in rules for a in other))
        lines.setdefault(key, []).append(piece)
    merged: list[Piece] = []
    for line in lines.values():
        first, *others = sorted(line, key=_place)
        for piece in others:
            joined = _join(first, piece, axis)
            if joined is None:
                merged.append(first)
            first = piece if joined is None else joined
        merged.append(first)
    return merged


def _place(piece: Piece) -> tuple[Triple, Triple]:
    return piece.box.start, piece.box.stop


def _join(low: Piece, high: Piece, axis: int) -> Piece | None:
    """One piece for both where `high` continues `low` along the axis by the same rule."""
    if (low.source, low.channel) != (high.source, high.channel):
        return None
    box = low.box.joined(high.box, axis)
    if box is None or any(
        (low.offset[a], low.stride[a]) != (high.offset[a], high.stride[a]) for a in range(3) if a != axis
    ):
        return None
    begin, middle = low.box.start[axis], high.box.start[axis]
    low_read = begin * low.stride[axis] + low.offset[axis]
    high_read = middle * high.stride[axis] + high.offset[axis]
    wide = [p.stride[axis] for p in (low, high) if p.box.extents[axis] > 1]
    step = wide[0] if wide else high_read - low_read
    if len(set(wide)) > 1 or low_read + (middle - begin) * step != high_read or (step < 1 and not wide):
        return None
    offset, stride = list(low.offset), list(low.stride)
    offset[axis], stride[axis] = low_read - begin * step, step
    return Piece(
        box, low.source, low.channel, (offset[0], offset[1], offset[2]), (stride[0], stride[1], stride[2])
    )
