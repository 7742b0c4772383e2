"""An operand as its kernel sees it: for every logical channel, which plane it is read from and moved how far.

A view is an index map in translation form laid over placed tensors. Because planes of one extent are
equal, the address of channel c at pixel p is `base(c) + pixel(p)`: two tables.
"""

from __future__ import annotations

import attrs
import numpy as np

from .anchor import Window
from .array import Array
from .geometry import Extent, Geometry, Halo
from .placement import ZERO_BASE, Address, Blocked, BlockedMemory
from .reach import Reach


@attrs.frozen(eq=False)
class ChannelView:
    """Channels of blocked tensors of one extent, each moved by an offset.

    tensors:   what is read; all of one extent.
    source:    int [C]: index into `tensors`, or -1 for a channel of zeros.
    position:  int [C]: where in its tensor the channel lies.
    offset:    int [C, 3]: (dn, dy, dx) added to the coordinates.
    stride:    (sy, sx): the view's pixel (h, w) is the source's (h * sy + dy, w * sx + dx).
    plane:     (N, H, W) of the view.
    """

    tensors: tuple[Blocked, ...]
    memory: BlockedMemory
    source: Array
    position: Array
    offset: Array
    stride: tuple[int, int]
    plane: tuple[int, int, int]

    def __attrs_post_init__(self) -> None:
        assert all(tensor.extent == self.memory.extent for tensor in self.tensors), "planes of one extent"

    @classmethod
    def whole(cls, tensor: Blocked, memory: BlockedMemory) -> ChannelView:
        """A tensor as it is."""
        e = tensor.extent
        zeros = np.zeros(tensor.channels, np.int64)
        return cls(
            (tensor,),
            memory,
            zeros,
            tensor.positions.astype(np.int64),
            np.zeros((tensor.channels, 3), np.int64),
            (1, 1),
            (e.batch, e.rows, e.columns),
        )

    @property
    def extent(self) -> Extent:
        return self.memory.extent

    @property
    def geometry(self) -> Geometry:
        return self.memory.geometry

    @property
    def channels(self) -> int:
        return len(self.source)

    @property
    def address(self) -> Address:
        """What the bases count from."""
        return self.tensors[0].address

    @property
    def moves(self) -> bool:
        """Some channel is displaced, or pixels are skipped."""
        return bool(self.offset.any()) or self.stride != (1, 1)

    @property
    def has_zeros(self) -> bool:
        return bool((self.source < 0).any())

    def require_halo(self, window: Window, rows: int, columns: int) -> None:
        """Make every element readable that a window over `rows` x `columns` outputs reads.

        Of a tensor of the caller's none outside its planes is read: `lowering/borders`.
        """
        if self.tensors[0].is_callers:
            return
        self.memory.needs_zeros |= self.has_zeros or window.skips(0) or window.skips(1)
        halos = []
        for axis, outputs, size in ((0, rows, self.extent.rows), (1, columns, self.extent.columns)):
            reach = self.reach(window, axis)
            halos.append((max(0, -reach.first(0)), max(0, reach.last(outputs) - size)))
        low, high = self._range(0)
        # of several clips, view and tensor have the same
        longer = self.plane[0] - self.extent.batch
        batch = (max(0, -low), max(0, high + longer))
        halo = Halo(batch, halos[0], halos[1])
        self.memory.require(halo)
        for tensor in self.tensors:
            tensor.halo = tensor.halo.union(halo)

    def reach(self, window: Window, axis: int) -> Reach:
        """Which rows (axis 0) or columns (axis 1) of the tensors a window over the view reads."""
        # Who reads nothing reads zeros beside the element in front of its window.
        beside = window.spacing[axis] - 1 if window.skips(axis) else 0
        of_view = Reach.of_window(
            window.kernel[axis], window.stride[axis], window.padding[axis], window.dilation[axis]
        )
        of_view = attrs.evolve(of_view, low=of_view.low - beside, spacing=window.spacing[axis])
        return of_view.through(self.stride[axis], *self._range(axis + 1))

    def _range(self, axis: int) -> tuple[int, int]:
        """The least and the largest displacement along batch, rows or columns."""
        used = self._displacements()[:, axis]
        return int(used.min()), int(used.max())

    def bases(self) -> Array:
        """Element offset of every channel from `address`, its displacement included: int64 [C]."""
        g = self.geometry
        out = np.empty(self.channels, np.int64)
        for index, tensor in enumerate(self.tensors):
            of_tensor = self.source == index
            out[of_tensor] = tensor.channel_base(self.position[of_tensor])
        zero = self.source < 0
        strides = np.array([g.batch_stride, g.row_stride, g.column_stride], np.int64)
        out[~zero] += self.offset[~zero] @ strides
        if zero.any():  # moved like a channel that is read: so its pixels, too, lie within the plane
            out[zero] = ZERO_BASE + self._displacements()[0] @ strides
        return out

    def _displacements(self) -> Array:
        """The offsets of the channels that are read, int [C', 3]; (0, 0, 0) if none is."""
        used = self.offset[self.source >= 0]
        return used if len(used) else np.zeros((1, 3), np.int64)

    def steps(self, window: Window) -> tuple[int, int]:
        """What `pixels` adds from one output pixel to the one below it, and to the one beside it."""
        g = self.geometry
        return (
            window.stride[0] * self.stride[0] * g.row_stride,
            window.stride[1] * self.stride[1] * g.column_stride,
        )

    def pixels(self, window: Window, rows: int, columns: int) -> Array:
        """Element offset of every output pixel's first tap, without padding: int64 [N * rows * columns].

        Add `tap_offsets` for the taps; padding is in them.
        """
        y, x = (
            np.arange(outputs) * window.stride[axis] // window.spacing[axis] * self.stride[axis]
            for axis, outputs in enumerate((rows, columns))
        )
        n = np.arange(self.plane[0])[:, None, None]
        return self.geometry.offset(n, y[None, :, None], x[None, None, :]).reshape(-1).astype(np.int64)

    def tap_offsets(self, window: Window, residue: tuple[int, int] = (0, 0)) -> Array:
        """What each tap (row-major) adds to a pixel's offset: int64 [kh * kw].

        residue: of the pixels, where elements are spaced; a tap between two leads to the one before.
        """
        dy, dx = (
            (residue[axis] + window.places(axis)) // window.spacing[axis] * self.stride[axis]
            for axis in (0, 1)
        )
        g = self.geometry
        return np.asarray((dy[:, None] * g.row_stride + dx[None, :] * g.column_stride).reshape(-1), np.int64)

    def block_view(self) -> BlockView | None:
        """The view as whole blocks of its tensors, in their own lane order, or None where it moves."""
        if self.moves or self.has_zeros:
            return None
        lanes = self.extent.lanes
        keys = list(zip(self.source.tolist(), (self.position // lanes).tolist(), strict=True))
        blocks = sorted(set(keys))
        number = {key: i for i, key in enumerate(blocks)}
        slots = [number[key] * lanes + int(p) % lanes for key, p in zip(keys, self.position, strict=True)]
        if len(set(slots)) != len(slots):  # one channel read twice: two results would share a lane
            return None
        return BlockView(tuple((self.tensors[t], b) for t, b in blocks), np.array(slots, np.int64))


@attrs.frozen(eq=False)
class BlockView:
    """Blocks of tensors, and where among them each logical channel lies (int [C])."""

    blocks: tuple[tuple[Blocked, int], ...]
    positions: Array

    def bases(self) -> Array:
        """Element offset of every block: int64 [blocks]."""
        return np.array([int(tensor.block_base(block)) for tensor, block in self.blocks], np.int64)
