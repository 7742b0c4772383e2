"""The algebra of index maps against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvm_passes.box import Box
from tvm_passes.index_map import IndexMap, IndexMapError, Piece, Shape, as_4d
from tvm_passes.translation import ChannelTranslation, Translation, summarize

settings.register_profile("quick", max_examples=60, deadline=None)
settings.load_profile("quick")

SHAPES = st.tuples(*(st.integers(1, most) for most in (2, 3, 5, 5)))


@st.composite
def spans(draw: st.DrawFn, extent: int) -> list[tuple[int, int]]:
    """An axis cut into up to three parts."""
    cuts = sorted(draw(st.sets(st.integers(1, extent - 1), max_size=2))) if extent > 1 else []
    return list(zip([0, *cuts], [*cuts, extent], strict=True))


@st.composite
def pieces_in(draw: st.DrawFn, box: Box, sources: list[Shape]) -> Piece | None:
    """A piece that covers `box`, with any rule that stays inside its source; None for zero."""
    if draw(st.booleans()):
        return None
    source = draw(st.integers(0, len(sources) - 1))
    n, c, h, w = sources[source]
    offset, stride = [], []
    for axis, size in enumerate((n, h, w)):
        first, last = box.start[axis], box.stop[axis] - 1
        step = draw(st.sampled_from([s for s in (1, 2, 0, -1) if abs(s) * (last - first) < size]))
        reads = (first * step, last * step)
        offset.append(draw(st.integers(-min(reads), size - 1 - max(reads))))
        stride.append(step)
    return Piece(box, source, draw(st.integers(0, c - 1)), tuple(offset), tuple(stride)).normalized()


@st.composite
def index_maps(draw: st.DrawFn, sources: list[Shape] | None = None) -> IndexMap:
    """Any index map with boxes on a grid; from the given sources, or from one or two of any shape."""
    sources = sources or draw(st.lists(SHAPES, min_size=1, max_size=2))
    output = draw(SHAPES)
    channels = []
    for _ in range(output[1]):
        axes = [draw(spans(extent)) for extent in (output[0], output[2], output[3])]
        boxes = [
            Box((n[0], h[0], w[0]), (n[1], h[1], w[1])) for n in axes[0] for h in axes[1] for w in axes[2]
        ]
        found = [draw(pieces_in(box, sources)) for box in boxes]
        channels.append(tuple(piece for piece in found if piece))
    return IndexMap(tuple(sources), output, tuple(channels))


def arrays_for(index_map: IndexMap) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [generator.integers(1, 10_000, shape) for shape in index_map.sources]


def by_definition(index_map: IndexMap, arrays: list[np.ndarray]) -> np.ndarray:
    """out[n, c, h, w] = source[n*sn + dn, c', h*sy + dy, w*sx + dx], element by element."""
    out = np.zeros(index_map.output, np.int64)
    for channel, pieces in enumerate(index_map.channels):
        for piece in pieces:
            for position in np.ndindex(piece.box.extents):
                n, h, w = (p + s for p, s in zip(position, piece.box.start, strict=True))
                rule = zip((n, h, w), piece.stride, piece.offset, strict=True)
                read_n, read_h, read_w = (p * s + d for p, s, d in rule)
                out[n, channel, h, w] = arrays[piece.source][read_n, piece.channel, read_h, read_w]
    return out


@given(index_maps())
def test_apply_is_the_definition(index_map: IndexMap) -> None:
    index_map.check()
    arrays = arrays_for(index_map)
    np.testing.assert_array_equal(index_map.apply(arrays), by_definition(index_map, arrays))


@given(st.data())
def test_composition_is_application_one_after_the_other(data: st.DataObject) -> None:
    inner = [data.draw(index_maps()) for _ in range(data.draw(st.integers(1, 2)))]
    outer = data.draw(index_maps([m.output for m in inner]))
    composed = outer.compose(inner)
    composed.check()
    arrays = [arrays_for(m) for m in inner]
    expected = outer.apply([m.apply(a) for m, a in zip(inner, arrays, strict=True)])
    np.testing.assert_array_equal(composed.apply([a for group in arrays for a in group]), expected)


@given(index_maps())
def test_identity_is_neutral(index_map: IndexMap) -> None:
    arrays = arrays_for(index_map)
    wanted = index_map.apply(arrays)
    before = index_map.compose([None] * len(index_map.sources))
    after = IndexMap.identity(index_map.output).compose([index_map])
    np.testing.assert_array_equal(before.apply(arrays), wanted)
    np.testing.assert_array_equal(after.apply(arrays), wanted)
    assert IndexMap.identity(index_map.output).is_identity


@given(st.permutations(range(7)), SHAPES)
def test_inverse_of_a_permutation(order: list[int], shape: Shape) -> None:
    shape = (shape[0], 7, *shape[2:])
    permutation = IndexMap.gather([shape], [(0, channel) for channel in order])
    assert permutation.is_permutation and permutation.is_channels_only
    assert permutation.compose([permutation.inverse()]).is_identity
    assert permutation.inverse().compose([permutation]).is_identity


@given(index_maps(), st.sampled_from([2, 4]))
def test_json_round_trip(index_map: IndexMap, rank: int) -> None:
    if index_map.output[2:] != (1, 1):
        rank = 4
    read = IndexMap.from_json(index_map.to_json(rank))
    assert read == index_map and hash(read) == hash(index_map)


@given(index_maps())
def test_merging_sources_keeps_what_is_read(index_map: IndexMap) -> None:
    arrays = arrays_for(index_map)
    merged, kept = index_map.merge_sources(["a", "b"][: len(index_map.sources)])
    np.testing.assert_array_equal(merged.apply([arrays[i] for i in kept]), index_map.apply(arrays))
    used = {piece.source for pieces in index_map.channels for piece in pieces}
    assert sorted(kept) == sorted(used)


def test_sources_that_are_one_tensor_are_merged() -> None:
    shape = (1, 2, 3, 3)
    both = IndexMap.gather([shape, shape], [(0, 0), (1, 1)])
    merged, kept = both.merge_sources(["x", "x"])
    assert merged.is_identity and kept == [0]


@given(
    st.sampled_from(["zero", "wrap", "edge"]),
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=4),
)
def test_translations_are_numpy_rolls_and_pads(border: str, offsets: list[tuple[int, int]]) -> None:
    shape = (2, len(offsets), 5, 6)
    channels = tuple(ChannelTranslation(0, c, 0, dy, dx) for c, (dy, dx) in enumerate(offsets))
    translation = Translation(channels, (1, 1), border)
    index_map = translation.index_map([shape], shape)
    index_map.check()
    (x,) = arrays_for(index_map)
    mode = {"zero": "constant", "wrap": "wrap", "edge": "edge"}[border]
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode=mode)
    expected = np.stack(
        [padded[:, c, 2 + dy : 7 + dy, 2 + dx : 8 + dx] for c, (dy, dx) in enumerate(offsets)], axis=1
    )
    np.testing.assert_array_equal(index_map.apply([x]), expected)
    found = index_map.translation()
    assert isinstance(found, Translation) and found.channels == channels
    assert found.border == (border if any(o != (0, 0) for o in offsets) else "zero")
    assert IndexMap.from_json(index_map.to_json()) == index_map


@pytest.mark.parametrize("stride", [(2, 2), (2, 1), (3, 2)])
def test_translation_with_stride(stride: tuple[int, int]) -> None:
    source, output = (1, 3, 8, 8), (1, 3, -(-8 // stride[0]), -(-8 // stride[1]))
    channels = tuple(ChannelTranslation(0, c, 0, c - 1, 1 - c) for c in range(3))
    translation = Translation(channels, stride)
    assert translation.index_map([source], output).translation() == translation


def test_batch_can_move() -> None:
    shape = (3, 1, 2, 2)
    back = Translation((ChannelTranslation(0, 0, -1),)).index_map([shape], shape)
    x = np.arange(1, 13).reshape(shape)
    np.testing.assert_array_equal(back.apply([x]), np.concatenate([np.zeros((1, 1, 2, 2)), x[:2]]))
    assert summarize(back) == ("(-1,0,0) x 1", "zero")


def test_a_rotation_of_a_clipped_plane_is_no_translation() -> None:
    shape = (1, 1, 4, 4)
    there = Translation((ChannelTranslation(0, 0, 0, 1, 0),)).index_map([shape], shape)
    back = Translation((ChannelTranslation(0, 0, 0, -1, 0),)).index_map([shape], shape)
    clipped = back.compose([there])
    assert clipped.translation() == (
        "channel 0 is cut to rows or columns that a zero halo would not cut: "
        "(0, 1, 0) to (1, 4, 4), a zero halo gives (0, 0, 0) to (1, 4, 4)"
    )
    assert not clipped.is_channels_only


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        (
            (Piece(Box((0, 0, 0), (1, 2, 4)), 0, 0), Piece(Box((0, 2, 0), (1, 4, 4)), 0, 1)),
            "channel 0 is read from several channels",
        ),
        ((Piece(Box((0, 0, 0), (1, 4, 4)), 0, 0, (0, 0, 0), (1, 0, 1)),), "broadcast"),
        (
            (
                Piece(Box((0, 0, 0), (1, 2, 4)), 0, 0),
                Piece(Box((0, 2, 0), (1, 4, 4)), 0, 0, (0, -3, 0), (1, 2, 1)),
            ),
            "channels have different strides: [1, 2]",
        ),
    ],
)
def test_reasons_why_a_map_is_no_translation(pieces: tuple[Piece, ...], reason: str) -> None:
    found = IndexMap(((1, 2, 4, 4),), (1, 1, 4, 4), (pieces,)).translation()
    assert isinstance(found, str) and reason in found


def test_flattening_is_a_map_of_channels_on_a_plane_of_one() -> None:
    source = (2, 3, 4, 5)
    reads = [(c, h, w) for c in range(3) for h in range(4) for w in range(5)]
    channels = tuple((Piece(Box.whole((2, 1, 1)), 0, c, (0, h, w)),) for c, h, w in reads)
    flatten = IndexMap((source,), as_4d([2, 60]), channels)
    x = np.arange(120).reshape(source)
    np.testing.assert_array_equal(flatten.apply([x])[:, :, 0, 0], x.reshape(2, 60))
    translation = flatten.translation()
    assert isinstance(translation, Translation)
    assert translation.channels[7] == ChannelTranslation(0, 0, 0, 1, 2)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((Piece(Box((0, 0, 0), (1, 4, 4)), 1, 0),), "no source 1"),
        ((Piece(Box((0, 0, 0), (1, 4, 4)), 0, 2),), "no channel 2"),
        ((Piece(Box((0, 0, 0), (1, 5, 4)), 0, 0),), "outside the output"),
        ((Piece(Box((0, 0, 0), (1, 4, 4)), 0, 0, (0, 1, 0)),), "reads outside source 0"),
        ((Piece(Box((0, 0, 0), (1, 4, 4)), 0, 0), Piece(Box((0, 1, 1), (1, 2, 2)), 0, 1)), "overlaps"),
    ],
)
def test_check_finds_reads_out_of_bounds(pieces: tuple[Piece, ...], message: str) -> None:
    with pytest.raises(IndexMapError, match=message):
        IndexMap(((1, 2, 4, 4),), (1, 1, 4, 4), (pieces,)).check()


def test_shapes_that_do_not_fit_are_refused() -> None:
    shape = (1, 2, 4, 4)
    with pytest.raises(IndexMapError, match="rank 3"):
        as_4d([1, 2, 3])
    with pytest.raises(IndexMapError, match="channel maps"):
        IndexMap((shape,), shape, ((),))
    with pytest.raises(IndexMapError, match="planes of the sources differ"):
        IndexMap.gather([shape, (1, 2, 3, 3)], [(0, 0)])
    with pytest.raises(IndexMapError, match="inner maps make"):
        IndexMap.identity(shape).compose([IndexMap.identity((1, 3, 4, 4))])
    with pytest.raises(IndexMapError, match="not"):
        IndexMap.identity(shape).apply([np.zeros((1, 3, 4, 4))])
    with pytest.raises(IndexMapError, match="only a permutation"):
        IndexMap.gather([shape], [(0, 0), (0, 0)]).inverse()
