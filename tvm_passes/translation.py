"""Index maps in which every channel is one plane, moved: what a shift is, and what a halo can serve.

`out[n, c, h, w] = source[n + dn, c', h*sy + dy, w*sx + dx]`, where a position outside the source reads
0 (zero border), the other side (wrap, torch.roll) or the nearest element (edge). Where the batch is clips
of video and dn moves along time, the border is the clip's (TSM: Lin et al., ICCV 2019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Literal, cast

import attrs
import numpy as np
import numpy.typing as npt

from .box import Box, Triple, preimage
from .index_map import ChannelMap, IndexMap, Piece, Shape, merge_pieces, plane

Border = Literal["zero", "wrap", "edge"]


MAX_LISTED = 25
"""More distinct offsets than this are counted, not listed, in a summary."""


@attrs.frozen
class ChannelTranslation:
    """One output channel: a channel of a source, moved by (dn, dy, dx)."""

    source: int
    channel: int
    dn: int = 0
    dy: int = 0
    dx: int = 0

    @property
    def offset(self) -> Triple:
        return (self.dn, self.dy, self.dx)


@attrs.frozen
class Translation:
    """One move per channel, of planes of one size; stride, border and clip are everybody's.

    channels: one entry per output channel, None for a channel of zeros.
    stride:   (sy, sx).
    border:   what lies outside the source.
    clip:     batch elements of a clip, which no dn leaves; None where the whole batch is one.
    """

    channels: tuple[ChannelTranslation | None, ...]
    stride: tuple[int, int] = (1, 1)
    border: Border = "zero"
    clip: int | None = None

    @property
    def moves_batch(self) -> bool:
        """Some channel is read from another batch element."""
        return any(read is not None and read.dn != 0 for read in self.channels)

    def index_map(self, sources: Sequence[Shape], output: Shape) -> IndexMap:
        """The index map of this translation between tensors of these shapes."""
        strides = (1, *self.stride)
        channels = tuple(
            _pieces(read, strides, self, plane(sources[read.source]), plane(output)) if read else ()
            for read in self.channels
        )
        return IndexMap(tuple(sources), output, channels)


def reads(extent: int, source_extent: int, offset: int, stride: int, border: Border) -> npt.NDArray[np.int64]:
    """The source position of every output position along one axis, -1 where the zero border is read."""
    position = np.arange(extent) * stride + offset
    if border == "wrap":
        return position % source_extent
    if border == "edge":
        return position.clip(0, source_extent - 1)
    return np.where((position >= 0) & (position < source_extent), position, -1)


def _reads(
    output: Triple, source: Triple, offset: Triple, stride: Triple, border: Border, clip: int | None
) -> list[npt.NDArray[np.int64]]:
    """`reads` along n, h and w; those along n clip by clip."""
    axes = [reads(output[a], source[a], offset[a], stride[a], border) for a in range(3)]
    if clip is not None:
        inside = reads(clip, clip, offset[0], stride[0], border)
        starts = np.arange(0, output[0], clip)[:, None]
        axes[0] = np.where(inside < 0, -1, starts + inside).reshape(-1)
    return axes


def _pieces(
    read: ChannelTranslation, stride: Triple, of: Translation, source: Triple, output: Triple
) -> ChannelMap:
    """The pieces of one translated channel: products of the runs along each axis."""
    found = _reads(output, source, read.offset, stride, of.border, of.clip)
    axes = [_runs(positions, step) for positions, step in zip(found, stride, strict=True)]
    pieces = []
    for n, h, w in product(*axes):
        box = Box((n[0], h[0], w[0]), (n[1], h[1], w[1]))
        pieces.append(Piece(box, read.source, read.channel, (n[2], h[2], w[2]), (n[3], h[3], w[3])))
    return merge_pieces(pieces)


def _runs(positions: npt.NDArray[np.int64], stride: int) -> list[tuple[int, int, int, int]]:
    """(start, stop, offset, stride) of the runs of positions that advance by `stride`; -1 is left out."""
    breaks = np.flatnonzero((np.diff(positions) != stride) | (positions[1:] < 0) | (positions[:-1] < 0)) + 1
    bounds = [0, *breaks.tolist(), len(positions)]
    return [(a, b, int(positions[a]) - a * stride, stride) for a, b in pairwise(bounds) if positions[a] >= 0]


def translation_of(index_map: IndexMap) -> Translation | str:
    """The translation that the map is, with the smallest offsets, or the reason why it is none."""
    planes = {plane(index_map.sources[p.source]) for pieces in index_map.channels for p in pieces}
    if len(planes) > 1:
        return f"its sources have different planes: {sorted(planes)}"
    stride = _common_stride(index_map)
    if isinstance(stride, str):
        return stride
    borders: tuple[Border, ...] = ("zero", "wrap", "edge")
    failures = []
    for clip, border in product((None, *_possible_clips(index_map)), borders):
        channels = _translate_all(index_map, stride, border, clip)
        if not isinstance(channels, str):
            return Translation(channels, (stride[1], stride[2]), border, clip)
        failures.append(channels)
    return failures[0]


def _possible_clips(index_map: IndexMap) -> list[int]:
    """The lengths a clip could have if some channel moves along the batch, in ascending order."""
    batch = index_map.output[0]
    stays = all(p.offset[0] == 0 and p.box.extents[0] == batch for m in index_map.channels for p in m)
    if stays or any(source[0] != batch for source in index_map.sources):
        return []
    return [length for length in range(1, batch) if batch % length == 0]


def _common_stride(index_map: IndexMap) -> Triple | str:
    """The stride of all pieces more than one element wide; 1 along an axis without such a piece."""
    found: list[set[int]] = [set(), set(), set()]
    for pieces in index_map.channels:
        for piece in pieces:
            for axis in range(3):
                if piece.box.extents[axis] > 1:
                    found[axis].add(piece.stride[axis])
    # stride 0 repeats an element at an edge border; on its own it is a broadcast
    strides = [s - {0} if len(s) > 1 else s for s in found]
    # first and last frames of neighbouring clips can look like steps
    strides[0] = {1} if 1 in found[0] else found[0]
    for several in strides:
        if len(several) > 1:
            return f"channels have different strides: {sorted(several)}"
    n, h, w = (next(iter(s), 1) for s in strides)
    if n != 1 or h < 1 or w < 1:
        return f"stride {(n, h, w)} over (n, h, w) is a broadcast, a flip, or skips batch elements"
    return (n, h, w)


def _translate_all(
    index_map: IndexMap, stride: Triple, border: Border, clip: int | None
) -> tuple[ChannelTranslation | None, ...] | str:
    channels: list[ChannelTranslation | None] = []
    known: dict[ChannelMap, ChannelTranslation | str] = {}
    for index, pieces in enumerate(index_map.channels):
        if not pieces:
            channels.append(None)
            continue
        shape = tuple(p.of(p.source, p.channel - pieces[0].channel) for p in pieces)
        if shape not in known:
            known[shape] = _translate(index_map, shape, stride, border, clip)
        read = known[shape]
        if isinstance(read, str):
            return f"channel {index} {read}"
        moved = read.offset
        channels.append(ChannelTranslation(read.source, read.channel + pieces[0].channel, *moved))
    return tuple(channels)


def _translate(
    index_map: IndexMap, pieces: ChannelMap, stride: Triple, border: Border, clip: int | None
) -> ChannelTranslation | str:
    """One channel as a translation with this stride, border and clip, or what keeps it from being one."""
    if len({(p.source, p.channel) for p in pieces}) > 1:
        return "is read from several channels"
    biggest = max(pieces, key=lambda p: p.box.volume)
    source, output = plane(index_map.sources[biggest.source]), plane(index_map.output)
    if border == "zero" and clip is None and len(pieces) > 1:
        return f"is {len(pieces)} boxes"
    offset = [biggest.offset[a] + biggest.box.start[a] * (biggest.stride[a] - stride[a]) for a in range(3)]
    if border == "wrap":
        extents = (clip or source[0], source[1], source[2])
        offset = [(o + e // 2) % e - e // 2 for o, e in zip(offset, extents, strict=True)]
    read = ChannelTranslation(biggest.source, biggest.channel, offset[0], offset[1], offset[2])
    if border == "zero" and clip is None:
        steps = zip(biggest.stride, stride, biggest.box.extents, strict=True)
        if any(own != common and extent > 1 for own, common, extent in steps):
            return f"is read with stride {biggest.stride}, others with {stride}"
        box = preimage(Box.whole(source), read.offset, stride, Box.whole(output))
        if box != biggest.box:
            return (
                "is cut to rows or columns that a zero halo would not cut: "
                f"{biggest.box}, a zero halo gives {box}"
            )
        return read
    wanted = _linear(_reads(output, source, read.offset, stride, border, clip), source)
    same = np.array_equal(wanted, _evaluate(pieces, source, output))
    return read if same else f"is no {border} of one plane"


def _linear(axes: Sequence[npt.NDArray[np.int64]], source: Triple) -> npt.NDArray[np.int64]:
    """The linear position of (n, h, w), -1 where one of them is."""
    n, h, w = axes[0][:, None, None], axes[1][:, None], axes[2]
    outside = (n < 0) | (h < 0) | (w < 0)
    return cast("npt.NDArray[np.int64]", np.where(outside, -1, (n * source[1] + h) * source[2] + w))


def _evaluate(pieces: ChannelMap, source: Triple, output: Triple) -> npt.NDArray[np.int64]:
    """The linear source position of every output position of one channel, -1 for zero."""
    out = np.full(output, -1, np.int64)
    for piece in pieces:
        axes = [
            np.arange(piece.box.start[a], piece.box.stop[a]) * piece.stride[a] + piece.offset[a]
            for a in range(3)
        ]
        (n0, h0, w0), (n1, h1, w1) = piece.box.start, piece.box.stop
        out[n0:n1, h0:h1, w0:w1] = _linear(axes, source)
    return out


def summarize(index_map: IndexMap) -> tuple[str, str]:
    """(offsets, border) in words, for reports: "(-1,0) x 32, (0,1) x 32" and "zero".

    Offsets are (dy, dx), or (dn, dy, dx) where batch elements move; the border is none where all of the
    output is read from the sources. A channel of several boxes counts with the offsets of all of them.
    """
    simple = translation_of(index_map)
    if isinstance(simple, Translation):
        moves: list[tuple[Triple, ...]] = [(read.offset,) if read else () for read in simple.channels]
    else:
        moves = [tuple(sorted({piece.offset for piece in pieces})) for pieces in index_map.channels]
    whole = Box.whole(plane(index_map.output)).volume
    covered = all(sum(p.box.volume for p in pieces) == whole for pieces in index_map.channels if pieces)
    border = simple.border if isinstance(simple, Translation) else "zero"
    counts = Counter(moves)
    if len(counts) > MAX_LISTED:
        text = f"{len(counts)} different offsets over {index_map.output[1]} channels"
    else:
        text = ", ".join(f"{_words(offsets)} x {count}" for offsets, count in sorted(counts.items()))
    return text, "none" if covered and border == "zero" else border


def _words(offsets: tuple[Triple, ...]) -> str:
    """The offsets of one channel: "(-1,0)", "(1,0,0)", "(0,1)|(0,-6)", or "zero" if it reads nothing."""
    shown = [offset if offset[0] else offset[1:] for offset in offsets]
    return "|".join(f"({','.join(map(str, offset))})" for offset in shown) or "zero"
