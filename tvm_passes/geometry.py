"""How one plane of a blocked tensor lies in the arena: rows, columns, lanes, and the halo around them.

A blocked tensor is `[channel block][batch + halo][row + halo][column + halo][lane]`. Every tensor of one
network that has the same batch, rows, columns and lanes shares one `Geometry`, so that a pixel's
offset does not depend on the tensor and an address is a sum: `base(channel) + offset(pixel)`.

Where the batch is clips of video, a temporal shift stays inside a clip; then every clip has a halo of its
own: `offset(n) = (n // clip) * (before + clip + after) + before + n % clip`, in batch elements.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import attrs
import numpy as np

from .array import Array

Border = Literal["zero", "wrap", "edge"]
Offset = TypeVar("Offset", int, Array)


@attrs.frozen
class Extent:
    """What distinguishes planes: batch, rows and columns, the lanes of a block, and what its halo holds.

    clip: consecutive batch elements that share a halo along the batch; all of them by default.
    """

    batch: int
    rows: int
    columns: int
    lanes: int
    border: Border = "zero"
    clip: int = attrs.field(default=attrs.Factory(lambda self: self.batch, takes_self=True))

    def __attrs_post_init__(self) -> None:
        assert self.batch % self.clip == 0, f"{self.batch} batch elements are no clips of {self.clip}"

    @property
    def clips(self) -> int:
        return self.batch // self.clip


@attrs.frozen
class Halo:
    """Elements readable outside the plane, before and after it, along batch, rows and columns."""

    batch: tuple[int, int] = (0, 0)
    rows: tuple[int, int] = (0, 0)
    columns: tuple[int, int] = (0, 0)

    def union(self, other: Halo) -> Halo:
        """The smallest halo that covers both."""

        def widest(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
            return max(a[0], b[0]), max(a[1], b[1])

        return Halo(
            widest(self.batch, other.batch),
            widest(self.rows, other.rows),
            widest(self.columns, other.columns),
        )

    @property
    def empty(self) -> bool:
        return self == Halo()


@attrs.frozen
class Geometry:
    """An extent with its halo: turns pixels into element offsets within one channel block's plane."""

    extent: Extent
    halo: Halo

    @property
    def column_stride(self) -> int:
        return self.extent.lanes

    @property
    def row_stride(self) -> int:
        return (self.extent.columns + sum(self.halo.columns)) * self.column_stride

    @property
    def batch_stride(self) -> int:
        return (self.extent.rows + sum(self.halo.rows)) * self.row_stride

    @property
    def plane(self) -> int:
        """Elements one channel block takes, halo included."""
        return self.extent.clips * self._clip_size * self.batch_stride

    @property
    def _clip_size(self) -> int:
        """Batch elements one clip takes, halo included."""
        return self.extent.clip + sum(self.halo.batch)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """One plane as an array: (clips, batch of a clip, rows, columns, lanes), halos included."""
        rows, columns = self.extent.rows + sum(self.halo.rows), self.extent.columns + sum(self.halo.columns)
        return self.extent.clips, self._clip_size, rows, columns, self.extent.lanes

    def within(self, reach: Halo) -> tuple[Any, ...]:
        """The own elements and those of the halo that `reach` covers: an index into planes of `shape`."""
        sizes = (self.extent.clip, self.extent.rows, self.extent.columns)
        halos = (self.halo.batch, self.halo.rows, self.halo.columns)
        reaches = (reach.batch, reach.rows, reach.columns)
        axes = zip(sizes, halos, reaches, strict=True)
        inner = (slice(h[0] - r[0], h[0] + size + r[1]) for size, h, r in axes)
        return (..., slice(None), *inner, slice(None))

    def around(self, reach: Halo) -> Array:
        """Offsets of the pixels of the halo that `reach` covers, from a plane's start."""
        covered = np.zeros(self.shape, bool)
        covered[self.within(reach)] = True
        covered[self.within(Halo())] = False
        return np.flatnonzero(covered[..., 0]) * self.extent.lanes

    def offset(self, n: Array | int, y: Array | int, x: Array | int) -> Array:
        """Element offset of pixel (n, y, x) from its plane's start; coordinates may lie in the halo.

        A halo between two clips has no n of its own: go there by a `displacement`.
        """
        clip = (np.asarray(n) // self.extent.clip).clip(0, self.extent.clips - 1)
        frame = np.asarray(n) - clip * self.extent.clip
        return np.asarray(
            (clip * self._clip_size + frame + self.halo.batch[0]) * self.batch_stride
            + (np.asarray(y) + self.halo.rows[0]) * self.row_stride
            + (np.asarray(x) + self.halo.columns[0]) * self.column_stride
        )

    def displacement(self, dn: Offset, dy: Offset, dx: Offset) -> Offset:
        """What moving by (dn, dy, dx) adds to an element offset."""
        moved: Offset = dn * self.batch_stride + dy * self.row_stride + dx * self.column_stride
        return moved

    def pixels(self, stride: tuple[int, int] = (1, 1), size: tuple[int, int] | None = None) -> Array:
        """Offsets of pixels (n, h * stride_y, w * stride_x), flattened in (n, h, w) order.

        size: how many rows and columns are walked; by default the whole plane at that stride.
        """
        rows, columns = size or (self.extent.rows, self.extent.columns)
        n = np.arange(self.extent.batch)[:, None, None]
        y = np.arange(rows)[None, :, None] * stride[0]
        x = np.arange(columns)[None, None, :] * stride[1]
        return self.offset(n, y, x).reshape(-1)


@attrs.frozen
class RowMajor(Geometry):
    """Planes of a row-major tensor [N, C, H, W]: an image's planes follow each other, without a halo.

    channels: C. A plane's images are as many planes apart.
    """

    channels: int = attrs.field(kw_only=True)

    @property
    def batch_stride(self) -> int:
        return self.channels * self.extent.rows * self.extent.columns

    @property
    def plane(self) -> int:
        return self.extent.rows * self.row_stride


@attrs.frozen
class Rolling(Geometry):
    """Planes that hold a few rows of one image at a time: row y lies at place y - `first`.

    kept:  how many rows.
    first: the row at place 0. Rows above and below the plane are rows like others; `halo` is of columns.
    """

    kept: int = attrs.field(kw_only=True)
    first: int = attrs.field(kw_only=True)

    @property
    def batch_stride(self) -> int:
        return self.kept * self.row_stride

    @property
    def plane(self) -> int:
        return self.batch_stride

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        return 1, 1, self.kept, self.extent.columns + sum(self.halo.columns), self.extent.lanes

    def within(self, reach: Halo) -> tuple[Any, ...]:
        before, after = self.halo.columns[0] - reach.columns[0], self.halo.columns[0] + reach.columns[1]
        return (..., slice(before, after + self.extent.columns), slice(None))

    def offset(self, n: Array | int, y: Array | int, x: Array | int) -> Array:
        """Element offset of pixel (y, x) of whichever image is there; what is not kept lies elsewhere."""
        row = (np.asarray(y) - self.first) * self.row_stride
        return np.asarray(
            0 * np.asarray(n) + row + (np.asarray(x) + self.halo.columns[0]) * self.column_stride
        )
