"""Where a tensor lies while the program runs: blocked in the arena with a halo, or plain."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from .array import Array
from .geometry import Extent, Geometry, Halo, Rolling, RowMajor
from .index_map import as_4d

ZERO_BASE = 0
"""Element offset of the zeros that the arena begins with: a plane of every memory that needs one, or a cache
line."""

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
    halo:      how far outside its planes it is read.
    base:      element offset of its first plane from `address`.
    address:   of the arena, or of the input that the tensor is.
    root:      the tensor of a ring that this one is in the course of a tile.
    """

    name: str
    extent: Extent
    positions: Array
    blocks: int
    memory: BlockedMemory | None = None
    halo: Halo = attrs.field(factory=Halo)
    base: int | None = None
    address: Address = Address("arena")
    root: Blocked | None = None

    @classmethod
    def of_caller(cls, tensor: Plain) -> Blocked:
        """An input [N, C, H, W] or [N, C] where it lies, planar; final as it is."""
        assert tensor.address is not None
        n, channels, rows, columns = as_4d(tensor.shape)
        extent = Extent(n, rows, columns, lanes=1)
        memory = CallersMemory(extent, channels=channels)
        positions, blocks = natural_positions(channels, lanes=1)
        return cls(tensor.name, extent, positions, blocks, memory, base=0, address=tensor.address)

    @property
    def is_callers(self) -> bool:
        """It is an input of the program, not a tensor of the arena."""
        return self.address.region != "arena"

    @property
    def channels(self) -> int:
        return len(self.positions)

    @property
    def geometry(self) -> Geometry:
        assert self.memory is not None
        return self.memory.geometry

    def block_base(self, block: Array | int) -> Array:
        """Element offset of a channel block's plane."""
        assert self.base is not None
        return np.asarray(self.base + np.asarray(block) * self.geometry.plane)

    def channel_base(self, position: Array | int) -> Array:
        """Element offset of a position's plane and lane."""
        lanes = self.extent.lanes
        base = self.block_base(np.asarray(position) // lanes)
        return np.asarray(base + np.asarray(position) % lanes)


@attrs.define(eq=False)
class BlockedMemory:
    """What all tensors of one extent have in common: planes with the same halo, the union of their readers'.

    needs_zeros: some reader takes a plane of zeros from `ZERO_BASE`, which is never written.
    """

    extent: Extent
    halo: Halo = attrs.field(factory=Halo)
    needs_zeros: bool = False

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.extent, self.halo)

    def require(self, halo: Halo) -> None:
        """Make sure that elements this far outside a plane can be read."""
        self.halo = self.halo.union(halo)


@attrs.define(eq=False)
class CallersMemory(BlockedMemory):
    """Of one row-major tensor of the caller's: around its planes lies something else, never a halo.

    channels: of the tensor.
    """

    channels: int = attrs.field(kw_only=True)

    @property
    def geometry(self) -> Geometry:
        return RowMajor(self.extent, Halo(), channels=self.channels)

    def require(self, halo: Halo) -> None:
        """Refuses: whoever reads the tensor leaves out what lies outside a plane."""
        assert halo.empty, "a tensor of the caller's has no halo"


@attrs.define(eq=False)
class RollingMemory(BlockedMemory):
    """Of tensors that are alive a few rows at a time: see `Rolling`.

    image: the one whose rows these are.
    """

    kept: int = attrs.field(kw_only=True)
    first: int = attrs.field(default=0, kw_only=True)
    image: int = attrs.field(default=0, kw_only=True)

    @property
    def geometry(self) -> Geometry:
        return Rolling(self.extent, Halo(columns=self.halo.columns), kept=self.kept, first=self.first)


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


Tensor = Blocked | Plain
"""What steps read and write."""


def natural_positions(channels: int, lanes: int) -> tuple[Array, int]:
    """Channels in order, the last block padded: (positions, blocks)."""
    return np.arange(channels), -(-channels // lanes)
