"""Overlaying lifetimes: where in one memory each tensor lies, so that tensors alive together are apart."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen
class Lifetime:
    """Space a tensor needs (in any unit) and the steps from which to which, both included, it is alive."""

    size: int
    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        return self.first <= other.last and other.first <= self.last


def allocate(lifetimes: Sequence[Lifetime], alignment: int = 1) -> tuple[list[int], int]:
    """Offsets for the tensors and the size of the memory: greedy by size, lowest gap that fits.

    (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.)
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    order = sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].size, lifetimes[i].first, i))
    total = 0
    for index in order:
        wanted = lifetimes[index]
        taken = sorted(
            (offsets[i], offsets[i] + lifetimes[i].size) for i in placed if lifetimes[i].overlaps(wanted)
        )
        offset = 0
        for start, stop in taken:
            if offset + wanted.size <= start:
                break
            offset = max(offset, -(-stop // alignment) * alignment)
        offsets[index] = offset
        placed.append(index)
        total = max(total, offset + wanted.size)
    return offsets, total
