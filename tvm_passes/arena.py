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


def most_alive_at_once(lifetimes: Sequence[Lifetime]) -> int:
    """The largest sum of sizes at one step: no allocation can need less."""
    return max((_alive_at(step, lifetimes) for step in {t.first for t in lifetimes}), default=0)


def allocate(lifetimes: Sequence[Lifetime], alignment: int = 1) -> tuple[list[int], int]:
    """Offsets for the tensors and the size of the memory: each in turn into the lowest gap that fits.

    The turn is by size or by breadth (first who is alive at the fullest step), whichever needs less.
    (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020.)
    """
    breadth = [
        max(_alive_at(step, lifetimes) for step in {t.first, *_starts_within(t, lifetimes)})
        for t in lifetimes
    ]
    by_size = sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].size, lifetimes[i].first, i))
    by_breadth = sorted(by_size, key=lambda i: -breadth[i])
    found = [_in_order(lifetimes, order, alignment) for order in (by_size, by_breadth)]
    return min(found, key=lambda placed: placed[1])


def _in_order(lifetimes: Sequence[Lifetime], order: Sequence[int], alignment: int) -> tuple[list[int], int]:
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
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


def _alive_at(step: int, lifetimes: Sequence[Lifetime]) -> int:
    return sum(t.size for t in lifetimes if t.first <= step <= t.last)


def _starts_within(lifetime: Lifetime, lifetimes: Sequence[Lifetime]) -> set[int]:
    """The steps of its life at which another begins."""
    return {t.first for t in lifetimes if lifetime.first <= t.first <= lifetime.last}
