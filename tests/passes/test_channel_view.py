"""What a view's tables address, against the index map it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tvm import relax

from tests.passes.modules import gathered, moved
from tvm_passes.anchor import Window
from tvm_passes.channel_view import ChannelView
from tvm_passes.geometry import Extent
from tvm_passes.index_map import IndexMap
from tvm_passes.placement import Blocked
from tvm_passes.stage import Read
from tvm_passes.tensors import Tensors
from tvm_passes.translation import ChannelTranslation, Translation

LANES = 4
BATCH, CHANNELS, ROWS, COLUMNS = 2, 6, 5, 4
SHAPE = (BATCH, CHANNELS, ROWS, COLUMNS)


class Memory:
    """Blocked tensors of one extent, and the arena that holds them: halos zero, unused lanes not."""

    def __init__(self, count: int, permuted: bool = False) -> None:
        self.tensors = Tensors(LANES)
        self.names = [relax.Var(f"x{i}", relax.TensorType(SHAPE, "float32")) for i in range(count)]
        self.arrays = [np.random.default_rng(i).standard_normal(SHAPE) for i in range(count)]
        order = np.array([7, 0, 5, 2, 3, 6]) if permuted else np.arange(CHANNELS)
        self.blocked = [
            self.tensors.new_blocked(var.name, (BATCH, ROWS, COLUMNS), "zero", order, 2) for var in self.names
        ]
        self.tensors.blocked.update(zip(self.names, self.blocked, strict=True))

    def view(self, index_map: IndexMap | None = None) -> ChannelView:
        return self.tensors.view(Read(tuple(self.names), index_map))

    def fill(self) -> np.ndarray:
        """Lay the tensors out and write them: what a kernel finds."""
        memory = self.tensors.memory(Extent(BATCH, ROWS, COLUMNS, LANES))
        for index, tensor in enumerate(self.blocked):
            tensor.base = (1 + 2 * index) * memory.geometry.plane + 64
        arena = np.zeros(64 + (1 + 2 * len(self.blocked)) * memory.geometry.plane)
        n, y, x = np.meshgrid(np.arange(BATCH), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
        pixels = memory.geometry.offset(n, y, x)
        for tensor, array in zip(self.blocked, self.arrays, strict=True):
            for block in range(2 * LANES):
                arena[pixels + tensor.channel_base(block)] = np.nan
            for channel in range(CHANNELS):
                arena[pixels + tensor.channel_base(tensor.positions[channel])] = array[:, channel]
        return arena


def read(memory: Memory, view: ChannelView, window: Window, rows: int, columns: int) -> np.ndarray:
    """What the tables address: [N, C, rows, columns, taps]."""
    view.require_halo(window, rows, columns)
    arena = memory.fill()
    pixels, taps = view.pixels(window, rows, columns), view.tap_offsets(window)
    addresses = view.bases()[:, None, None] + pixels[None, :, None] + taps[None, None, :]
    values = arena[addresses].reshape(view.channels, view.plane[0], rows, columns, len(taps))
    return values.transpose(1, 0, 2, 3, 4)


def windows_of(array: np.ndarray, window: Window, rows: int, columns: int) -> np.ndarray:
    """The same by slicing a padded array."""
    top, left, bottom, right = window.padding
    padded = np.pad(array, ((0, 0), (0, 0), (top, bottom), (left, right)))
    taps = [
        padded[
            :,
            :,
            i * window.dilation[0] :: window.stride[0],
            j * window.dilation[1] :: window.stride[1],
        ][:, :, :rows, :columns]
        for i in range(window.kernel[0])
        for j in range(window.kernel[1])
    ]
    return np.stack(taps, axis=-1)


offsets = st.tuples(st.integers(-2, 2), st.integers(-6, 6), st.integers(-6, 6))
channels = st.lists(
    st.none() | st.builds(lambda s, c, o: ChannelTranslation(s, c, *o), st.integers(0, 1),
                          st.integers(0, CHANNELS - 1), offsets),
    min_size=1, max_size=8,
)  # fmt: skip


@given(channels, st.tuples(*[st.integers(1, 2)] * 2), st.tuples(*[st.integers(0, 3)] * 2), st.booleans())
def test_a_translation_with_any_offsets(
    reads: list, stride: tuple[int, int], more: tuple[int, int], permuted: bool
) -> None:
    """Displacements out of the plane read the halo's zeros, missing channels the plane of zeros."""
    output = (BATCH, len(reads), -(-ROWS // stride[0]) + more[0], -(-COLUMNS // stride[1]) + more[1])
    index_map = Translation(tuple(reads), stride).index_map([SHAPE, SHAPE], output)
    assume(not isinstance(index_map.translation(), str))  # a single row is left, and the stride is lost
    memory = Memory(2, permuted)
    got = read(memory, memory.view(index_map), Window(), output[2], output[3])
    np.testing.assert_array_equal(got[..., 0], index_map.apply(memory.arrays))


WINDOWS = {
    "3 x 3": Window((3, 3), (1, 1), (1, 1, 1, 1)),
    "strided": Window((3, 3), (2, 2), (1, 1, 1, 1)),
    "one-sided": Window((2, 3), (1, 2), (0, 2, 1, 0)),
    "dilated": Window((3, 2), (1, 1), (2, 0, 2, 3), (2, 3)),
    "far": Window((5, 5), (1, 1), (4, 4, 4, 4)),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("permuted", [False, True])
def test_windows_over_a_shuffled_tensor(name: str, permuted: bool) -> None:
    window, shuffle = WINDOWS[name], gathered([SHAPE], [(0, c) for c in (3, 1, 5, 0, 4, 2)])
    sizes = [
        (extent + window.padding[a] + window.padding[a + 2] - window.dilation[a] * (window.kernel[a] - 1) - 1)
        // window.stride[a] + 1
        for a, extent in enumerate((ROWS, COLUMNS))
    ]  # fmt: skip
    memory = Memory(1, permuted)
    got = read(memory, memory.view(shuffle), window, *sizes)
    np.testing.assert_array_equal(got, windows_of(shuffle.apply(memory.arrays), window, *sizes))


def test_an_unpadded_window_over_a_strided_shift() -> None:
    index_map = Translation(
        tuple(ChannelTranslation(0, c, 0, 1 - c % 3, c % 2) for c in range(CHANNELS)), (2, 1)
    ).index_map([SHAPE], (BATCH, CHANNELS, 3, COLUMNS))
    memory, window = Memory(1), Window((2, 2))
    got = read(memory, memory.view(index_map), window, 2, 3)
    np.testing.assert_array_equal(got, windows_of(index_map.apply(memory.arrays), window, 2, 3))


def test_blocks_of_a_concat_keep_their_lanes() -> None:
    memory = Memory(2, permuted=True)
    reads = [(k, c) for c in range(CHANNELS) for k in (1, 0)]
    view = memory.view(gathered([SHAPE, SHAPE], reads))
    blocks = view.block_view()
    memory.fill()
    assert blocks is not None
    assert [(tensor.name, block) for tensor, block in blocks.blocks] == [
        ("x0", 0), ("x0", 1), ("x1", 0), ("x1", 1)
    ]  # fmt: skip
    lane_addresses = blocks.bases()[blocks.positions // LANES] + blocks.positions % LANES
    np.testing.assert_array_equal(lane_addresses, view.bases())


def test_blocks_nobody_reads_are_left_out() -> None:
    memory = Memory(1)
    blocks = memory.view(gathered([SHAPE], [(0, 5), (0, 4)])).block_view()
    assert blocks is not None
    assert [block for _, block in blocks.blocks] == [1]
    assert blocks.positions.tolist() == [1, 0]


@pytest.mark.parametrize(
    "index_map",
    [
        moved([(0, 1)] + [(0, 0)] * 5, SHAPE),
        gathered([SHAPE], [(0, 0), None]),
        gathered([SHAPE], [(0, 0), (0, 0)]),
        Translation(tuple(ChannelTranslation(0, c) for c in range(6)), (2, 2)).index_map(
            [SHAPE], (2, 6, 3, 2)
        ),
    ],
    ids=["moved", "zeros", "twice", "strided"],
)
def test_what_is_not_whole_blocks(index_map: IndexMap) -> None:
    assert Memory(1).view(index_map).block_view() is None


def test_halos_are_as_small_as_they_can_be() -> None:
    memory = Memory(1)
    view = memory.view(moved([(0, 1), (-1, 0), (0, -2), (0, 0), (0, 0), (0, 0)], SHAPE))
    view.require_halo(Window(), ROWS, COLUMNS)
    halo = memory.tensors.memory(view.extent).halo
    assert (halo.batch, halo.rows, halo.columns) == ((0, 0), (1, 0), (2, 1))


def test_a_tensor_as_it_is() -> None:
    memory = Memory(1, permuted=True)
    tensor: Blocked = memory.blocked[0]
    view = ChannelView.whole(tensor, memory.tensors.memory(tensor.extent))
    assert not view.moves and not view.has_zeros
    np.testing.assert_array_equal(read(memory, view, Window(), ROWS, COLUMNS)[..., 0], memory.arrays[0])
