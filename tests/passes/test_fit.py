"""Index maps out of coordinates, where several sources follow each other."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_passes.fit import Source, fit
from tvm_passes.index_map import IndexMap, Shape


def numbered(shapes: list[Shape]) -> tuple[list[np.ndarray], list[Source]]:
    """The coordinates of sources one after the other, and the sources."""
    bases = [1, *accumulate((int(np.prod(s)) for s in shapes), initial=1)][1:-1]
    arrays = [
        np.arange(b, b + np.prod(s), dtype=np.int32).reshape(s) for b, s in zip(bases, shapes, strict=True)
    ]
    return arrays, [Source(b, s) for b, s in zip(bases, shapes, strict=True)]


@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.integers(0, 1), st.sampled_from([0, 2, 3]))
def test_a_concat_is_a_piece_per_source(lengths: list[int], gap: int, axis: int) -> None:
    """Whatever the axis: where one source ends, the next one's coordinates go on."""
    shapes: list[Shape] = [tuple(n if a == axis else 2 for a in range(4)) for n in lengths]  # type: ignore[misc]
    arrays, sources = numbered(shapes)
    widths = [(0, gap if a == axis else 0) for a in range(4)]
    joined = np.pad(np.concatenate(arrays, axis), widths)
    index_map = fit(joined, sources)
    assert isinstance(index_map, IndexMap)
    index_map.check()
    np.testing.assert_array_equal(index_map.apply(arrays), joined)
    assert all(len(pieces) == len(lengths) for pieces in index_map.channels)


def test_channels_of_too_many_parts_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone would be a table of boxes, all of them would be thousands."""
    monkeypatch.setattr("tvm_passes.fit.MAX_PARTS_OF_ALL", 200)
    random = np.random.default_rng(0)
    source = Source(1, (1, 3, 10, 12))
    elements = np.arange(1, 1 + source.size).reshape(3, 10, 12)
    order = np.argsort(random.random(elements.shape), axis=2)
    moved = np.take_along_axis(elements, order, axis=2)[None]
    assert fit(moved, [source]) == "its channels are cut into more than 200 parts"
    alike = np.take_along_axis(elements, np.repeat(order[:1], 3, axis=0), axis=2)[None]
    assert isinstance(fit(alike, [source]), IndexMap)
