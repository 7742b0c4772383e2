"""From coordinates to an index map: what did the data movement do to every channel?

The coordinates of an output hold, for every element, 1 + the linear index of the source element that it
is a copy of (counted through all sources, one after the other), or 0 where it is zero. A channel that is
one box read by one affine rule is found for all channels at once; one that is not (a wrapped or clamped
border, a plane made of two) is cut where the rule changes, and every part is fitted on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .box import Box, Triple
from .index_map import ChannelMap, IndexMap, Piece, Shape, merge_pieces

Coordinates = npt.NDArray[Any]
MAX_PARTS = 256
"""A channel cut into more parts than this is not worth a table of boxes."""
MAX_PARTS_OF_ALL = 4096
"""Nor are channels that are cut into more parts together; those that move alike count once."""


@attrs.frozen
class Source:
    """A tensor that is read: its first coordinate and its shape."""

    base: int
    shape: Shape

    @property
    def size(self) -> int:
        n, c, h, w = self.shape
        return n * c * h * w


class NoFitError(Exception):
    """A channel that is no per-channel translation; the message says what it is."""


def fit(coordinates: Coordinates, sources: Sequence[Source]) -> IndexMap | str:
    """The index map of an output given by its coordinates (N, C, H, W), or why there is none.

    sources: in ascending order of their bases; all that occur in the coordinates.
    """
    n, c, h, w = coordinates.shape
    fitted = _fit_boxes(coordinates, sources)
    channels: list[ChannelMap] = []
    templates: dict[bytes, tuple[Coordinates, ChannelMap]] = {}
    parts = 0
    for index in range(c):
        pieces = fitted[index]
        if pieces is None:
            known = len(templates)
            try:
                pieces = _fit_like_before(coordinates[:, index], sources, templates)
            except NoFitError as reason:
                return f"{reason} (channel {index})"
            parts += len(pieces) if len(templates) > known else 0
            if parts > MAX_PARTS_OF_ALL:
                return f"its channels are cut into more than {MAX_PARTS_OF_ALL} parts"
        channels.append(pieces)
    return IndexMap(tuple(source.shape for source in sources), (n, c, h, w), tuple(channels))


def _fit_boxes(coordinates: Coordinates, sources: Sequence[Source]) -> list[ChannelMap | None]:
    """For every channel: no piece if it is zero, one piece if it is one box read by one rule, else None."""
    channels = np.arange(coordinates.shape[1])
    valid = coordinates > 0
    occupied = valid.any(axis=(0, 2, 3))
    start, stop = _bounds(valid)
    first = coordinates[start[0], channels, start[1], start[2]].astype(np.int64)

    # the rule along each axis, from the two ends of an edge of the box
    ends, steps = [], []
    exact = first > 0
    for axis in range(3):
        corner = [start[a] if a != axis else stop[a] - 1 for a in range(3)]
        end = coordinates[corner[0], channels, corner[1], corner[2]].astype(np.int64)
        length = np.maximum(stop[axis] - start[axis] - 1, 1)
        exact &= (end > 0) & ((end - first) % length == 0)
        ends.append(end)
        steps.append((end - first) // length)
    exact &= _follows(coordinates, first, steps, start, stop)

    bases = np.array([source.base for source in sources])
    which = np.searchsorted(bases, first, side="right") - 1
    result: list[ChannelMap | None] = [None] * len(channels)
    origin = _decode(first, which, sources)
    last = [_decode(end, which, sources) for end in ends]
    strides = []
    for axis, place in enumerate((0, 2, 3)):
        length = np.maximum(stop[axis] - start[axis] - 1, 1)
        moved = last[axis] - origin
        exact &= (moved[[p for p in range(4) if p != place]] == 0).all(axis=0) & (moved[place] % length == 0)
        exact &= np.searchsorted(bases, ends[axis], side="right") - 1 == which  # not on into the next source
        strides.append(moved[place] // length)
    for index in np.flatnonzero(exact & occupied).tolist():
        stride = _triple(strides, index)
        begin = _triple(start, index)
        (n, h, w), (sn, sy, sx) = begin, stride
        read_n, channel, read_h, read_w = origin[:, index].tolist()
        offset = (read_n - n * sn, read_h - h * sy, read_w - w * sx)
        box = Box(begin, _triple(stop, index))
        # an axis one wide came out as stride 0, which `normalized` turns into 1
        result[index] = (Piece(box, int(which[index]), channel, offset, stride).normalized(),)
    for index in np.flatnonzero(~occupied).tolist():
        result[index] = ()
    return result


def _triple(axes: Sequence[npt.NDArray[np.int64]], index: int) -> Triple:
    return (int(axes[0][index]), int(axes[1][index]), int(axes[2][index]))


def _bounds(valid: npt.NDArray[np.bool_]) -> tuple[list[Any], list[Any]]:
    """First and one past the last valid position along n, h and w, for every channel."""
    start, stop = [], []
    for others in ((2, 3), (0, 3), (0, 2)):
        seen: Any = valid.any(axis=others)
        seen = seen.T if others == (2, 3) else seen  # (channel, position)
        start.append(seen.argmax(axis=1))
        stop.append(seen.shape[1] - seen[:, ::-1].argmax(axis=1))
    return start, stop


def _follows(
    coordinates: Coordinates, first: Any, steps: Sequence[Any], start: Sequence[Any], stop: Sequence[Any]
) -> npt.NDArray[np.bool_]:
    """For every channel, whether it is `first + steps . (position - start)` in its box and 0 outside."""
    dtype = coordinates.dtype
    terms, inside = [], []
    for axis, length in enumerate((coordinates.shape[0], *coordinates.shape[2:])):
        position = np.arange(length)
        terms.append(((position - start[axis][:, None]) * steps[axis][:, None]).astype(dtype))
        inside.append((position >= start[axis][:, None]) & (position < stop[axis][:, None]))
    along_n = (terms[0] + first[:, None]).astype(dtype).T[:, :, None, None]
    expected = along_n + (terms[1][:, :, None] + terms[2][:, None, :])
    mask = inside[0].T[:, :, None, None] & (inside[1][:, :, None] & inside[2][:, None, :])
    expected *= mask
    same: npt.NDArray[np.bool_] = (expected == coordinates).all(axis=(0, 2, 3))
    return same


def _decode(values: Any, which: Any, sources: Sequence[Source]) -> npt.NDArray[np.int64]:
    """(n, c, h, w) of coordinates, given the source of each; something outside it for other sources'."""
    shapes = np.array([source.shape for source in sources], np.int64)[which]
    rest = values - np.array([source.base for source in sources], np.int64)[which]
    rest, column = np.divmod(rest, shapes[..., 3])
    rest, row = np.divmod(rest, shapes[..., 2])
    batch, channel = np.divmod(rest, shapes[..., 1])
    return np.stack([batch, channel, row, column])


# --- channels of several boxes ----------------------------------------------------------------------


def _fit_like_before(
    plane: Coordinates, sources: Sequence[Source], templates: dict[bytes, tuple[Coordinates, ChannelMap]]
) -> ChannelMap:
    """`_fit_parts`, done once for all channels that are the same movement of different source channels."""
    first = plane.flat[np.flatnonzero(plane)[0]]
    where = _locate(np.array([first]), sources)[:, 0]
    key = np.where(plane > 0, plane - first, np.iinfo(plane.dtype).min).tobytes()
    key += where[[0, 1, 3, 4]].tobytes()
    if key in templates:
        known, pieces = templates[key]
        by = int(where[2] - known[2])
        moved = tuple(p.of(p.source, p.channel + by) for p in pieces)
        channels = sources[int(where[0])].shape[1]
        if all(p.source == where[0] and 0 <= p.channel < channels for p in moved):
            return moved
    pieces = _fit_parts(plane, sources)
    templates[key] = (where, pieces)
    return pieces


def _locate(values: Any, sources: Sequence[Source]) -> npt.NDArray[np.int64]:
    """(source, n, c, h, w) of coordinates."""
    which = np.searchsorted(np.array([source.base for source in sources]), values, side="right") - 1
    return np.concatenate([which[None], _decode(values.astype(np.int64), which, sources)])


def _fit_parts(plane: Coordinates, sources: Sequence[Source]) -> ChannelMap:
    """The pieces of one channel (N, H, W), cut along each axis where the rule changes."""
    which = np.searchsorted(np.array([source.base for source in sources]), plane, side="right")
    cuts = [_cuts(plane, which, axis) for axis in range(3)]
    if np.prod([len(c) - 1 for c in cuts]) > MAX_PARTS:
        raise NoFitError(_explain(plane, sources))
    pieces: list[Piece] = []
    for (n0, n1), (h0, h1), (w0, w1) in product(*(pairwise(c) for c in cuts)):
        (found,) = _fit_boxes(plane[n0:n1, None, h0:h1, w0:w1], sources)
        if found is None:
            raise NoFitError(_explain(plane, sources))
        pieces.extend(_moved(piece, (n0, h0, w0)) for piece in found)
    return merge_pieces(pieces)


def _cuts(plane: Coordinates, which: Coordinates, axis: int) -> list[int]:
    """0, the positions along the axis at which a new part begins, and the length.

    which: the source of every coordinate; the next source's coordinates follow on, its rows do not.
    """
    moved, sources = (np.moveaxis(a, axis, 0).reshape(plane.shape[axis], -1) for a in (plane, which))
    valid = moved > 0
    both = valid[1:] & valid[:-1]
    steps = np.diff(moved, axis=0)
    breaks = (sources[1:] != sources[:-1]).any(axis=1)
    if both.any():
        values, counts = np.unique(steps[both], return_counts=True)
        breaks |= (both & (steps != values[counts.argmax()])).any(axis=1)
    return [0, *(np.flatnonzero(breaks) + 1).tolist(), plane.shape[axis]]


def _moved(piece: Piece, origin: Triple) -> Piece:
    """The piece of a part that begins at `origin`, as a piece of the whole."""
    (p, q, r), (d, e, f), (s, t, u) = origin, piece.offset, piece.stride
    (a, b, c), (x, y, z) = piece.box.start, piece.box.stop
    box = Box((a + p, b + q, c + r), (x + p, y + q, z + r))
    return Piece(box, piece.source, piece.channel, (d - s * p, e - t * q, f - u * r), piece.stride)


def _explain(plane: Coordinates, sources: Sequence[Source]) -> str:
    """What a channel that does not fit does with its elements."""
    located = _locate(plane.reshape(-1), sources).reshape(5, *plane.shape)
    source, channel, row, column = located[0], located[2], located[3], located[4]
    valid = plane > 0
    if len(np.unique(np.stack([source, channel])[:, valid], axis=1).T) > 2:
        return "moves along channels per pixel"
    if valid.all() and not np.diff(row, axis=1).any() and not np.diff(column, axis=2).any():
        return "spatial axes are transposed"
    return "not a per-channel translation: its rows or columns are not whole runs of the source's"
