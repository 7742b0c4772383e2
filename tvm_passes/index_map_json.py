"""Index maps as compact JSON: runs of channels whose source channels advance by a constant step.

    {"sources": [[N, C, H, W], ...], "output": [...], "channels": [[count, step, [piece, ...]], ...]}

A piece is a list of integers, as long as it has to be: [source, channel], then the offset, the stride,
and the box (start, stop). Without a box it covers whatever it can read without leaving its source,
which is what a zero halo gives; without an offset or a stride these are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from .box import Box, Triple, preimage
from .index_map import ChannelMap, IndexMap, Piece, Shape, as_4d, plane

_STILL, _UNIT = (0, 0, 0), (1, 1, 1)


def natural_box(source: Shape, output: Shape, offset: Triple, stride: Triple) -> Box | None:
    """All positions of the output whose read stays inside the source."""
    return preimage(Box.whole(plane(source)), offset, stride, Box.whole(plane(output)))


def encode(index_map: IndexMap, rank: int) -> dict[str, Any]:
    """The map as plain lists; `rank` 2 writes the output as [N, K]."""
    return {
        "sources": [list(shape) for shape in index_map.sources],
        "output": list(index_map.output[:rank]),
        "channels": [
            [count, step, [_encode_piece(index_map, piece) for piece in pieces]]
            for count, step, pieces in channel_runs(index_map.channels)
        ],
    }


def decode(plain: dict[str, Any]) -> IndexMap:
    """The map that `encode` wrote."""
    sources = tuple(as_4d(shape) for shape in plain["sources"])
    output = as_4d(plain["output"])
    channels: list[ChannelMap] = []
    for count, step, rows in plain["channels"]:
        pieces = tuple(_decode_piece(sources, output, row) for row in rows)
        channels.extend(_advanced(pieces, index * step) for index in range(count))
    return IndexMap(sources, output, tuple(channels))


def _advanced(pieces: ChannelMap, by: int) -> ChannelMap:
    if by == 0:
        return pieces
    return tuple(p.of(p.source, p.channel + by) for p in pieces)


def channel_runs(channels: tuple[ChannelMap, ...]) -> Iterator[tuple[int, int, ChannelMap]]:
    """(count, step, pieces of the first channel): channel i of a run reads i * step channels further."""
    begin = 0
    while begin < len(channels):
        first, end, step = channels[begin], begin + 1, 0
        if end < len(channels) and first and channels[end]:
            step = channels[end][0].channel - first[0].channel
        while end < len(channels) and channels[end] == _advanced(first, (end - begin) * step):
            end += 1
        yield end - begin, step if end - begin > 1 else 0, first
        begin = end


def _encode_piece(index_map: IndexMap, piece: Piece) -> list[int]:
    row = [piece.source, piece.channel]
    source = index_map.sources[piece.source]
    if piece.box != natural_box(source, index_map.output, piece.offset, piece.stride):
        return [*row, *piece.offset, *piece.stride, *piece.box.start, *piece.box.stop]
    if piece.stride != _UNIT:
        return [*row, *piece.offset, *piece.stride]
    return [*row, *piece.offset] if piece.offset != _STILL else row


def _decode_piece(sources: tuple[Shape, ...], output: Shape, row: list[int]) -> Piece:
    def triple(at: int, default: Triple) -> Triple:
        return (row[at], row[at + 1], row[at + 2]) if len(row) > at else default

    source, channel = row[:2]
    offset, stride = triple(2, _STILL), triple(5, _UNIT)
    if len(row) > 8:
        box: Box | None = Box(triple(8, _STILL), triple(11, _STILL))
    else:
        box = natural_box(sources[source], output, offset, stride)
    return Piece(
        attrs.evolve(Box.whole(plane(output))) if box is None else box, source, channel, offset, stride
    )
