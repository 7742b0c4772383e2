"""Rows of operands against a walk over every tap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.passes.modules import moved, values
from tvm_passes.index_map import IndexMap
from tvm_passes.staged.halo import WindowRows, crop, rows_read, tile_rows, window_rows


@pytest.mark.parametrize(
    ("rows", "kernel", "stride", "padding", "dilation", "expected"),
    [
        ((0, 4), 1, 1, 0, 1, WindowRows(0, 4, 0, 0)),
        ((0, 4), 3, 1, 1, 1, WindowRows(0, 5, 1, 0)),
        ((4, 8), 3, 1, 1, 1, WindowRows(3, 9, 0, 0)),
        ((12, 15), 3, 1, 1, 1, WindowRows(11, 15, 0, 1)),
        ((0, 4), 7, 2, 3, 1, WindowRows(0, 10, 3, 0)),
        ((4, 8), 3, 2, 1, 2, WindowRows(7, 15, 0, 3)),
        ((0, 1), 1, 1, 2, 1, WindowRows(0, 0, 1, 0)),
        ((17, 18), 1, 1, 2, 1, WindowRows(15, 15, 0, 1)),
    ],
)
def test_rows_of_a_window_in_a_plane_of_fifteen(
    rows: tuple[int, int], kernel: int, stride: int, padding: int, dilation: int, expected: WindowRows
) -> None:
    assert window_rows(rows, 15, kernel, stride, padding, dilation) == expected


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_they_are_those_that_some_tap_reads(data: st.DataObject) -> None:
    number = st.integers
    height, kernel = data.draw(number(1, 12)), data.draw(number(1, 7))
    stride, padding, dilation = data.draw(number(1, 3)), data.draw(number(0, 4)), data.draw(number(1, 3))
    first = data.draw(number(0, 8))
    last = data.draw(number(first + 1, first + 5))
    found = window_rows((first, last), height, kernel, stride, padding, dilation)
    taps = {row * stride - padding + tap * dilation for row in range(first, last) for tap in range(kernel)}
    inside = [tap for tap in taps if 0 <= tap < height]
    start, stop = min(taps), max(taps) + 1
    assert found.above + (found.last - found.first) + found.below == stop - start
    assert found.above == sum(row < 0 for row in range(start, stop))
    assert found.below == sum(row >= height for row in range(start, stop))
    if inside:
        assert found.first <= min(inside) and max(inside) < found.last


@pytest.mark.parametrize("height", [1, 2, 7, 16])
def test_tiles_cover_every_row_once(height: int) -> None:
    for tiles in range(1, height + 1):
        found = tile_rows(height, tiles)
        assert len(found) == tiles
        assert [row for first, last in found for row in range(first, last)] == list(range(height))
        sizes = [last - first for first, last in found]
        assert max(sizes) - min(sizes) <= 1


def test_no_more_tiles_than_rows() -> None:
    assert tile_rows(3, 8) == [(0, 1), (1, 2), (2, 3)]
    with pytest.raises(ValueError, match="0 tiles"):
        tile_rows(3, 0)


@pytest.mark.parametrize("border", ["zero", "wrap", "edge"])
def test_a_crop_is_the_rows_of_the_whole(border: str) -> None:
    offsets = [(-2, 1), (0, 0), (1, -1)]
    index_map: IndexMap = moved(offsets, (1, 3, 6, 5), border)
    x = values(1, 3, 6, 5)
    for rows in ((0, 2), (2, 5), (4, 6)):
        cropped = crop(index_map, rows)
        cropped.check()
        assert (cropped.apply([x]) == index_map.apply([x])[:, :, rows[0] : rows[1]]).all()


def test_rows_that_a_shift_reads() -> None:
    index_map = moved([(-1, 0), (2, 0)], (1, 2, 8, 4), "zero")
    assert rows_read(index_map, (3, 5)) == {0: (2, 7)}
    assert rows_read(index_map, (0, 1)) == {0: (2, 3)}
    assert rows_read(index_map, (0, 0)) == {}
