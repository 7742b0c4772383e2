"""Where pixels lie within a plane."""

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvm_passes.geometry import Extent, Geometry, Halo, Rolling

pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))
halos = st.builds(Halo, pairs, pairs, pairs)
geometries = st.builds(
    Geometry,
    st.builds(Extent, st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 4, 16])),
    halos,
)

rings = st.builds(
    Rolling,
    st.builds(Extent, st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 4, 16])),
    st.builds(Halo, columns=pairs),
    kept=st.integers(1, 6),
    first=st.integers(-3, 5),
)


def coordinates(geometry: Geometry) -> list[np.ndarray]:
    """All (n, y, x), the halo's included, in the order in which they lie in memory."""
    extent, halo = geometry.extent, geometry.halo
    sizes = ((extent.batch, halo.batch), (extent.rows, halo.rows), (extent.columns, halo.columns))
    return np.meshgrid(*[np.arange(-h[0], size + h[1]) for size, h in sizes], indexing="ij")


@given(geometries)
def test_a_plane_is_its_pixels_and_its_halo_without_gaps(geometry: Geometry) -> None:
    offsets = geometry.offset(*coordinates(geometry)).reshape(-1)
    np.testing.assert_array_equal(offsets, np.arange(len(offsets)) * geometry.extent.lanes)
    assert geometry.plane == len(offsets) * geometry.extent.lanes


@given(geometries, st.tuples(*[st.integers(-3, 3)] * 3))
def test_moving_adds_a_constant(geometry: Geometry, move: tuple[int, int, int]) -> None:
    n, y, x = (np.array([1, 2, 3]), np.array([0, 4, 1]), np.array([5, 0, 2]))
    moved = geometry.offset(n + move[0], y + move[1], x + move[2])
    np.testing.assert_array_equal(moved - geometry.offset(n, y, x), geometry.displacement(*move))


@given(geometries, st.tuples(st.integers(1, 2), st.integers(1, 2)))
def test_pixels_are_walked_in_order(geometry: Geometry, stride: tuple[int, int]) -> None:
    size = (-(-geometry.extent.rows // stride[0]), -(-geometry.extent.columns // stride[1]))
    expected = [
        int(geometry.offset(n, y * stride[0], x * stride[1]))
        for n in range(geometry.extent.batch)
        for y in range(size[0])
        for x in range(size[1])
    ]
    assert geometry.pixels(stride, size).tolist() == expected


@given(halos, halos)
def test_a_union_covers_both(a: Halo, b: Halo) -> None:
    both = a.union(b)
    assert both.union(a) == both.union(b) == both == b.union(a)
    assert a.union(Halo()) == a


@pytest.mark.parametrize("halo", [Halo((0, 1)), Halo(rows=(1, 0)), Halo(columns=(0, 2))])
def test_only_a_halo_of_nothing_is_empty(halo: Halo) -> None:
    assert Halo().empty
    assert not halo.empty


@given(rings)
def test_a_ring_is_its_rows_from_the_first_without_gaps(ring: Rolling) -> None:
    before, after = ring.halo.columns
    y = np.arange(ring.first, ring.first + ring.kept)[:, None]
    offsets = ring.offset(0, y, np.arange(-before, ring.extent.columns + after)).reshape(-1)
    np.testing.assert_array_equal(offsets, np.arange(len(offsets)) * ring.extent.lanes)
    assert ring.plane == ring.batch_stride == len(offsets) * ring.extent.lanes == np.prod(ring.shape)


@given(rings, st.integers(0, 2))
def test_a_ring_holds_one_image_at_a_time(ring: Rolling, n: int) -> None:
    y, x = np.array([0, 2, 1]), np.array([1, 0, 3])
    np.testing.assert_array_equal(ring.offset(n, y, x), ring.offset(0, y, x))
    assert ring.offset(np.arange(3)[:, None], y, x).shape == (3, 3)


@given(rings, st.integers(-3, 5))
def test_rows_of_a_ring_move_with_its_first(ring: Rolling, first: int) -> None:
    """As they lie in a plane, but for what the rows in front of the first one take."""
    later = attrs.evolve(ring, first=first)
    y, x = np.array([0, 4, 1]), np.array([5, 0, 2])
    plane = Geometry(ring.extent, Halo(columns=ring.halo.columns))
    np.testing.assert_array_equal(later.offset(0, y, x), plane.offset(0, y, x) - first * plane.row_stride)
    moved = ring.offset(0, y + 2, x - 1) - ring.offset(0, y, x)
    np.testing.assert_array_equal(moved, ring.displacement(0, 2, -1))


@given(rings)
def test_the_halo_of_a_ring_is_of_columns(ring: Rolling) -> None:
    """Rows above and below the plane are rows like others, whatever halo of rows is asked for."""
    row = np.arange(-ring.halo.columns[0], ring.extent.columns + ring.halo.columns[1])
    beside = row[(row < 0) | (row >= ring.extent.columns)]
    y = np.arange(ring.first, ring.first + ring.kept)[:, None]
    around = ring.around(Halo((1, 1), (2, 2), ring.halo.columns))
    np.testing.assert_array_equal(around, ring.offset(0, y, beside).reshape(-1))
    assert ring.around(Halo(rows=(1, 1))).size == 0
