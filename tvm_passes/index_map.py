"""The algebra of data movement: `out[n, c, h, w] = source_k[n*sn + dn, c', h*sy + dy, w*sx + dx]`, or 0.

An `IndexMap` says for every output channel which boxes of (n, h, w) are read from which channel of
which source, by which offset and stride; what no box covers is zero. Every border is boxes: wrap
(torch.roll) is the pieces of a rotation, edge a piece of stride 0, reflect one of stride -1. So the
algebra is closed under composition, with no case left out: boxes intersect, offsets add.

Tensors are 4-D, (N, C, H, W). A matrix [N, K] is (N, K, 1, 1); flattening [N, C, H, W] in front of a
matrix multiplication is then the map of channel k to (c, dy = h, dx = w) on a 1 x 1 plane.

Pure Python and numpy; no TVM.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import numpy.typing as npt

from .box import Box, Triple
from .piece import ChannelMap, Piece, merge_pieces

if TYPE_CHECKING:
    from .translation import Translation

__all__ = [
    "Box",
    "ChannelMap",
    "IndexMap",
    "IndexMapError",
    "Piece",
    "Shape",
    "Triple",
    "as_4d",
    "merge_pieces",
    "plane",
]

Shape = tuple[int, int, int, int]


class IndexMapError(ValueError):
    """An index map that cannot be built: a shape that does not fit, or a read outside its source."""


def as_4d(shape: Iterable[int]) -> Shape:
    """The shape as (N, C, H, W); a matrix [N, K] becomes (N, K, 1, 1). Raises IndexMapError otherwise."""
    dims = tuple(int(d) for d in shape)
    if len(dims) == 2:
        return (dims[0], dims[1], 1, 1)
    if len(dims) != 4:
        raise IndexMapError(f"rank {len(dims)} is neither [N, K] nor [N, C, H, W]")
    return (dims[0], dims[1], dims[2], dims[3])


def plane(shape: Shape) -> Triple:
    """The (N, H, W) extents of a tensor: the space that boxes live in."""
    return (shape[0], shape[2], shape[3])


@attrs.frozen(cache_hash=True)
class IndexMap:
    """Where every element of one tensor comes from.

    sources:  the shapes of the tensors that are read, each (N, C, H, W).
    output:   the shape of the tensor that is described.
    channels: one `ChannelMap` per output channel.
    """

    sources: tuple[Shape, ...]
    output: Shape
    channels: tuple[ChannelMap, ...]

    def __attrs_post_init__(self) -> None:
        if len(self.channels) != self.output[1]:
            raise IndexMapError(f"{len(self.channels)} channel maps for an output of shape {self.output}")

    @classmethod
    def identity(cls, shape: Shape) -> IndexMap:
        """The map that reads one source as it is."""
        return cls.gather([shape], [(0, channel) for channel in range(shape[1])])

    @classmethod
    def gather(cls, sources: Sequence[Shape], reads: Sequence[tuple[int, int] | None]) -> IndexMap:
        """The map whose channel i is channel c of source k for `reads[i] == (k, c)`, or zero for None.

        This is concat, split, channel shuffle, and padding along channels. Raises IndexMapError where
        the planes of the sources differ.
        """
        if len({plane(shape) for shape in sources}) != 1:
            raise IndexMapError(f"the planes of the sources differ: {list(sources)}")
        batch, height, width = plane(sources[0])
        whole = Box.whole((batch, height, width))
        channels = tuple((Piece(whole, *read).normalized(),) if read else () for read in reads)
        return cls(tuple(sources), (batch, len(reads), height, width), channels)

    # --- what the map does ------------------------------------------------------------------

    def apply(self, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The output, (N, C, H, W), of reading `arrays` (one per source, 4-D or [N, K]) through the map."""
        if tuple(as_4d(a.shape) for a in arrays) != self.sources:
            raise IndexMapError(f"sources of shape {[a.shape for a in arrays]}, not {list(self.sources)}")
        out = np.zeros(self.output, arrays[0].dtype if arrays else np.float32)
        for piece, targets, channels in self._by_geometry():
            source = arrays[piece.source].reshape(self.sources[piece.source])
            rows = [
                np.arange(piece.box.start[a], piece.box.stop[a]) * piece.stride[a] + piece.offset[a]
                for a in range(3)
            ]
            values = source[np.ix_(rows[0], np.array(channels), rows[1], rows[2])]
            (n0, h0, w0), (n1, h1, w1) = piece.box.start, piece.box.stop
            out[n0:n1, targets, h0:h1, w0:w1] = values
        return out

    def _by_geometry(self) -> Iterator[tuple[Piece, list[int], list[int]]]:
        """Pieces that differ in the channel alone, together: (one of them, output channels, channels)."""
        groups: dict[Piece, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for target, pieces in enumerate(self.channels):
            for piece in pieces:
                targets, channels = groups[piece.of(piece.source, 0)]
                targets.append(target)
                channels.append(piece.channel)
        for piece, (targets, channels) in groups.items():
            yield piece, targets, channels

    def check(self) -> None:
        """Raise IndexMapError unless boxes are disjoint, inside the output, and read inside the sources."""
        whole = Box.whole(plane(self.output))
        for index, pieces in enumerate(self.channels):
            for position, piece in enumerate(pieces):
                where = f"channel {index}, box {piece.box}"
                if not 0 <= piece.source < len(self.sources):
                    raise IndexMapError(f"{where}: there is no source {piece.source}")
                source = self.sources[piece.source]
                if not piece.box.inside(whole):
                    raise IndexMapError(f"{where}: outside the output {self.output}")
                if not 0 <= piece.channel < source[1]:
                    raise IndexMapError(f"{where}: source {piece.source} has no channel {piece.channel}")
                if not piece.read_box().inside(Box.whole(plane(source))):
                    raise IndexMapError(f"{where}: reads outside source {piece.source}, {source}")
                if any(piece.box.intersect(other.box) for other in pieces[:position]):
                    raise IndexMapError(f"{where}: overlaps another piece")

    # --- what kind of map it is -------------------------------------------------------------

    @property
    def is_identity(self) -> bool:
        """One source, read as it is."""
        return self.is_permutation and all(p[0].channel == i for i, p in enumerate(self.channels))

    @property
    def is_channels_only(self) -> bool:
        """Every channel is zero or a whole channel of some source, unmoved."""
        whole = Box.whole(plane(self.output))
        planes = [plane(shape) == plane(self.output) for shape in self.sources]
        return all(
            not pieces
            or (pieces == (Piece(whole, pieces[0].source, pieces[0].channel),) and planes[pieces[0].source])
            for pieces in self.channels
        )

    @property
    def is_permutation(self) -> bool:
        """One source of the same shape, each of its channels exactly once, unmoved."""
        if self.sources != (self.output,) or not self.is_channels_only or not all(self.channels):
            return False
        return len({pieces[0].channel for pieces in self.channels}) == self.output[1]

    def inverse(self) -> IndexMap:
        """The inverse of a permutation of channels; raises IndexMapError for any other map."""
        if not self.is_permutation:
            raise IndexMapError("only a permutation of channels has an inverse")
        order = np.argsort([pieces[0].channel for pieces in self.channels])
        return IndexMap.gather([self.output], [(0, int(channel)) for channel in order])

    # --- composition ------------------------------------------------------------------------

    def compose(self, inner: Sequence[IndexMap | None]) -> IndexMap:
        """This map read through `inner`: source k is the output of `inner[k]` (None: a plain tensor).

        The sources of the result are those of the inner maps one after the other; `merge_sources`
        makes one of several that are the same tensor. Raises IndexMapError where shapes differ.
        """
        maps = [m or IndexMap.identity(s) for m, s in zip(inner, self.sources, strict=True)]
        if tuple(m.output for m in maps) != self.sources:
            raise IndexMapError(f"sources are {self.sources}, inner maps make {[m.output for m in maps]}")
        first = [sum(len(m.sources) for m in maps[:k]) for k in range(len(maps))]
        channels = []
        for pieces in self.channels:
            found = []
            for piece in pieces:
                for inner_piece in maps[piece.source].channels[piece.channel]:
                    joined = piece.through(inner_piece)
                    if joined is not None:
                        found.append(joined.of(joined.source + first[piece.source], joined.channel))
            channels.append(merge_pieces(found))
        return IndexMap(tuple(s for m in maps for s in m.sources), self.output, tuple(channels))

    def merge_sources(self, tensors: Sequence[object]) -> tuple[IndexMap, list[int]]:
        """The map with one source per distinct tensor that is read at all, and the places of these.

        tensors: one key per source; sources with equal keys are the same tensor.
        """
        used = {piece.source for pieces in self.channels for piece in pieces}
        kept: dict[object, int] = {}
        for index, key in enumerate(tensors):
            if index in used:
                kept.setdefault(key, index)
        number = {index: place for place, index in enumerate(kept.values())}
        if list(number) == list(range(len(self.sources))):
            return self, list(number)
        renumbered = {i: number[kept[key]] for i, key in enumerate(tensors) if i in used}
        channels = tuple(
            merge_pieces([p.of(renumbered[p.source], p.channel) for p in pieces]) for pieces in self.channels
        )
        return IndexMap(tuple(self.sources[i] for i in number), self.output, channels), list(number)

    # --- simpler views ----------------------------------------------------------------------

    def translation(self) -> Translation | str:
        """The map as one (source, channel, dn, dy, dx) per channel, a stride and a border, or why not."""
        from .translation import translation_of

        return translation_of(self)

    # --- JSON -------------------------------------------------------------------------------

    def to_json(self, rank: int = 4) -> str:
        """Compact JSON; `rank` is 2 where the output is a matrix [N, K]."""
        from .index_map_json import encode

        return json.dumps(encode(self, rank), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> IndexMap:
        """The map that `to_json` wrote."""
        from .index_map_json import decode

        return decode(json.loads(text))
