"""Which groups of a grouped convolution have outputs in each vector, and what a vector's sum is made of.

A vector whose lanes belong to several groups sums over the channels of all of them, one group after the
other, with weight zero across. All vectors sum over equally many; what is missing is read again, times zero.
"""

from __future__ import annotations

import attrs
import numpy as np

from ..array import Array
from ..placement import Blocked
from .vectors import Vectors


@attrs.frozen(eq=False)
class VectorGroups:
    """The groups of every vector of an output.

    members: by vector, its groups, ascending.
    row:     int [O]: where an output channel lies among the lanes of all vectors; -1 if in none of them.
    slot:    int [O]: which of its vector's groups it belongs to.
    """

    vectors: Vectors
    members: tuple[Array, ...]
    row: Array
    slot: Array

    @classmethod
    def of(cls, groups: int, output: Blocked, vectors: Vectors) -> VectorGroups:
        """For an output whose channels are as many equal groups, in order."""
        channels = output.channels
        group = np.arange(channels) // (channels // groups)
        vector = vectors.of(output.positions)
        members = tuple(np.unique(group[vector == number]) for number in range(vectors.count))
        row = np.where(vector < 0, -1, vector * vectors.lanes + output.positions % vectors.lanes)
        slot = [int(np.searchsorted(members[v], g)) for v, g in zip(vector, group, strict=True)]
        return cls(vectors, members, row, np.array(slot))

    @property
    def widest(self) -> int:
        """The most groups in a vector."""
        return max(len(groups) for groups in self.members)

    def tables(self, offsets: Array) -> Array:
        """`offsets` [groups, n] of each group's channels as they are read: int64 [vectors, widest * n]."""
        n = offsets.shape[1]
        tables = np.zeros((self.vectors.count, self.widest, n), np.int64)
        for table, groups in zip(tables, self.members, strict=True):
            if len(groups):
                table[:] = offsets[groups[0]]
                table[: len(groups)] = offsets[groups]
        return tables.reshape(self.vectors.count, -1)

    def weights(self, weights: Array) -> Array:
        """`weights` [O, n] of each channel's group, zero across: float32 [vectors * lanes, widest * n]."""
        rows = np.zeros((self.vectors.count * self.vectors.lanes, self.widest, weights.shape[1]), np.float32)
        inside = self.row >= 0
        rows[self.row[inside], self.slot[inside]] = weights[inside]
        return rows.reshape(len(rows), -1)


def share_tables(tables: Array) -> Array:
    """Fewer tables where runs of vectors of equal length read the same, as in groups wider than a vector."""
    vectors = len(tables)
    for run in range(vectors, 1, -1):
        if vectors % run == 0:
            shared = tables.reshape(vectors // run, run, -1)
            if (shared == shared[:, :1]).all():
                return np.asarray(shared[:, 0])
    return tables
