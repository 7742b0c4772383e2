"""Where a tensor lies while the program runs: blocked in the arena with a halo, or plain."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from .array import Array
from .geometry import Extent, Geometry, Halo

Region = Literal["arena", "constants", "input", "output"]


@attrs.frozen
class Address:
    """A byte address in one of the program's memories; `index` picks the input or output."""

    region: Region
    offset: int = 0
    index: int = 0


@attrs.define(eq=False)
class Blocked:
    """A tensor in blocked layout. The planner grows its halo and assigns its place; then it is final.

    extent:    batch, rows, columns, lanes and what the halo holds.
    channels:  logical channels.
    positions: int array [channels]; channel c lies in block `positions[c] // lanes`, lane
               `positions[c] % lanes`. Positions no channel takes hold values nobody reads.
    blocks:    channel blocks allocated.
    """

    name: str
    extent: Extent
    positions: Array
    blocks: int
    first_plane: int | None = None
    memory: BlockedMemory | None = None

    @property
    def channels(self) -> int:
        return len(self.positions)

    @property
    def geometry(self) -> Geometry:
        assert self.memory is not None
        return self.memory.geometry

    def block_base(self, block: Array | int) -> Array:
        """Element offset in the arena of a channel block's plane."""
        assert self.memory is not None and self.first_plane is not None
        return np.asarray(self.memory.base + (self.first_plane + np.asarray(block)) * self.geometry.plane)

    def channel_base(self, position: Array | int) -> Array:
        """Element offset in the arena of a position's plane and lane."""
        lanes = self.extent.lanes
        base = self.block_base(np.asarray(position) // lanes)
        return np.asarray(base + np.asarray(position) % lanes)


@attrs.define(eq=False)
class BlockedMemory:
    """The part of the arena that holds all tensors of one extent: an array of equal planes.

    Because planes are equal, a plane's halo stays zero whichever tensor lives in it.
    base counts elements from the arena's start. needs_zeros asks for a plane that is never written;
    it is `zero_plane`.
    """

    extent: Extent
    halo: Halo = attrs.field(factory=Halo)
    planes: int = 0
    base: int = 0
    needs_zeros: bool = False
    zero_plane: int = 0

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.extent, self.halo)

    def require(self, halo: Halo) -> None:
        """Make sure that elements this far outside a plane can be read."""
        self.halo = self.halo.union(halo)

    def zero_base(self) -> int:
        """Element offset of the plane of zeros."""
        return self.base + self.zero_plane * self.geometry.plane


@attrs.define(eq=False)
class Plain:
    """A tensor in ordinary row-major layout.

    address is assigned by the planner; value is a constant's; root is the tensor this one is another
    shape of (its address counts).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    address: Address | None = None
    value: Array | None = None
    root: Plain | None = None

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def natural_positions(channels: int, lanes: int) -> tuple[Array, int]:
    """Channels in order, the last block padded: (positions, blocks)."""
    return np.arange(channels), -(-channels // lanes)
