"""How a kernel cuts the channels of its output into vectors.

The layout's blocks are as wide as the target's widest vector. Where a block is half empty, or holds the
outputs of two groups that read different inputs, a kernel of narrower vectors does less work: it computes
the used part of the block, and leaves the rest, which nobody reads, as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from ..array import Array
from ..placement import Blocked

NARROWEST = 4


@attrs.frozen(eq=False)
class Vectors:
    """Vectors of `lanes` positions of a blocked tensor: vector i is `starts[i]` … `starts[i] + lanes - 1`.

    lanes:  divides the layout's.
    starts: int array, ascending multiples of `lanes`.
    """

    lanes: int
    starts: Array

    @classmethod
    def whole(cls, output: Blocked) -> Vectors:
        """The layout's own blocks, all of them."""
        return cls(output.extent.lanes, np.arange(output.blocks) * output.extent.lanes)

    @property
    def count(self) -> int:
        return len(self.starts)

    @property
    def rows(self) -> Array:
        """All positions, vector by vector."""
        return np.asarray((self.starts[:, None] + np.arange(self.lanes)).reshape(-1))

    def of(self, positions: Array) -> Array:
        """The vector each position lies in; -1 for none."""
        index = np.searchsorted(self.starts, positions, side="right") - 1
        return np.where((index >= 0) & (positions < self.starts[index] + self.lanes), index, -1)


def ways_to_cut(output: Blocked) -> Iterator[tuple[Vectors, ...]]:
    """What computes all channels of the output: whole blocks, narrower vectors, or the one then the other."""
    blocks = output.extent.lanes
    yield (Vectors.whole(output),)
    lanes = blocks // 2
    while lanes >= NARROWEST:
        used = _used(output.positions, lanes)
        yield (Vectors(lanes, used),)
        within = np.bincount(used // blocks, minlength=output.blocks)
        full = np.flatnonzero(within == blocks // lanes)
        rest = used[within[used // blocks] < blocks // lanes]
        if len(full) and len(rest):
            yield Vectors(blocks, full * blocks), Vectors(lanes, rest)
        lanes //= 2


def _used(positions: Array, lanes: int) -> Array:
    """The vectors of so many lanes that hold a channel."""
    return np.asarray(np.unique(positions // lanes) * lanes)
