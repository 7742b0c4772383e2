"""Which rows of an operand some rows of a result need.

Those of a window operator's are its `reach`, of which rows outside the plane are padding; an index map's are
found from its boxes.
"""

from __future__ import annotations

from itertools import pairwise

import attrs

from ..box import Box
from ..index_map import IndexMap, Piece
from ..reach import Reach
from .program import Rows


@attrs.frozen
class WindowRows:
    """Rows [first, last) inside the plane, and rows of padding above and below it."""

    first: int
    last: int
    above: int
    below: int


def window_rows(rows: Rows, height: int, kernel: int, stride: int, padding: int, dilation: int) -> WindowRows:
    """The rows that a window operator needs of a plane of `height` rows; `rows` must not be empty.

    padding: rows in front of the plane; behind it there are as many as the windows need.
    """
    reach = Reach.of_window(kernel, stride, padding, dilation)
    start, stop = reach.first(rows[0]), reach.last(rows[1])
    first, last = min(max(start, 0), height), min(max(stop, 0), height)
    above, below = max(0, min(0, stop) - start), max(0, stop - max(height, start))
    return WindowRows(first, max(first, last), above, below)


def crop(index_map: IndexMap, rows: Rows) -> IndexMap:
    """The map of rows [first, last) of what `index_map` describes."""
    batch, channels, _, width = index_map.output
    height = rows[1] - rows[0]
    box = Box.whole((batch, height, width))
    pieces = tuple((Piece(box, 0, channel, (0, rows[0], 0)),) for channel in range(channels))
    return IndexMap((index_map.output,), (batch, channels, height, width), pieces).compose([index_map])


def rows_read(index_map: IndexMap, rows: Rows) -> dict[int, Rows]:
    """By source, the rows that rows [first, last) of the output are read from; without those not read."""
    found: dict[int, Rows] = {}
    if rows[0] == rows[1]:
        return found
    for pieces in crop(index_map, rows).channels:
        for piece in pieces:
            box = piece.read_box()
            first, last = found.get(piece.source, (box.start[1], box.stop[1]))
            found[piece.source] = (min(first, box.start[1]), max(last, box.stop[1]))
    return found


def tile_rows(height: int, tiles: int) -> list[Rows]:
    """`height` rows in so many tiles, at most one for each row, whose heights differ by one at most."""
    if height < 1 or tiles < 1:
        raise ValueError(f"{height} rows cannot be cut into {tiles} tiles")
    tiles = min(tiles, height)
    cuts = [-(-height * tile // tiles) for tile in range(tiles + 1)]
    return list(pairwise(cuts))
