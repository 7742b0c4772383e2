"""A convolution of some of the output's vectors and pixels; what of a transposed one is computed together.

Classes of pixels that read the same elements, with weights of their own, are one convolution with as many
times the outputs: what is stored lies a fixed distance further for each class. So the four pixels that a
2 x 2 kernel of stride 2 makes of one are computed and stored together, and what is read is read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from schedules.workload import IndexedConv, PairedConv

from ..array import Array
from .vectors import Vectors
from .virtual_channels import Weights

_SHORT = 8
"""Pixels of a run up to which columns may have several; longer ones fill them, and share more kernels."""


@attrs.frozen(eq=False)
class Part:
    """Some of the output's vectors, and the convolution that computes them.

    tables:  arguments that only the kernel of this workload takes; `ct` are the virtual channels' offsets.
    weights: [vectors * lanes, virtual channels]; made when asked for: most parts are only compared.
    """

    vectors: Vectors
    workload: IndexedConv | PairedConv
    tables: Mapping[str, Array]
    weights: Weights

    def is_like(self, other: Part) -> bool:
        """The other one differs in weights and pixels at most."""
        return (
            attrs.evolve(self.workload, pixels=1) == attrs.evolve(other.workload, pixels=1)
            and np.array_equal(self.vectors.starts, other.vectors.starts)
            and all(np.array_equal(table, other.tables[name]) for name, table in self.tables.items())
        )

    def of(self, starts: Array) -> Part:
        """The same convolution of the pixels whose windows begin there."""
        return attrs.evolve(self, workload=of_pixels(self.workload, starts))


def of_pixels(workload: IndexedConv | PairedConv, starts: Array) -> IndexedConv | PairedConv:
    """The same workload for the pixels whose windows begin there."""
    workload = attrs.evolve(workload, pixels=len(starts))
    return in_runs(workload, starts) if isinstance(workload, PairedConv) else workload


def in_runs(workload: PairedConv, starts: Array) -> PairedConv:
    """With what is known of the distances between the pixels whose windows begin there."""
    run, step = _runs(starts)
    rows, row_step = _runs(starts[::run]) if run <= _SHORT else (1, 0)
    return attrs.evolve(workload, run=run, step=step, rows=rows, row_step=row_step)


def together(parts: Sequence[tuple[Part, Array]], starts: Array) -> list[tuple[Part, tuple[Array, ...]]]:
    """Each part for its pixels, parts that differ in nothing but weights and where results lie as one.

    parts:  with the numbers of their pixels.
    starts: of the windows of all pixels.
    Returns every part with the pixels of each of those it was made of: an output block of the first is
    followed by the same of the others.
    """
    groups: list[list[tuple[Part, Array]]] = []
    for part, numbers in parts:
        alike = (
            group
            for group in groups
            if np.array_equal(starts[group[0][1]], starts[numbers]) and group[0][0].is_like(part)
        )
        group = next(alike, None)
        if group is None:
            groups.append([(part, numbers)])
        else:
            group.append((part, numbers))
    return [
        (_joined([part for part, _ in group]).of(starts[group[0][1]]), tuple(numbers for _, numbers in group))
        for group in groups
    ]


def _joined(parts: Sequence[Part]) -> Part:
    first = parts[0]
    if len(parts) == 1:
        return first
    workload = attrs.evolve(first.workload, blocks=len(parts) * first.workload.blocks)

    def weights() -> Array:
        by_vector = [part.weights().reshape(first.vectors.count, first.vectors.lanes, -1) for part in parts]
        return np.stack(by_vector, axis=1).reshape(workload.blocks * workload.lanes, -1)

    return attrs.evolve(first, workload=workload, weights=weights)


def _runs(starts: Array) -> tuple[int, int]:
    """(run, step): into what equally long runs they fall, each number `step` from the one before."""
    steps = np.diff(starts)
    if not steps.size:
        return 1, 0
    breaks = np.flatnonzero(steps != steps[0]) + 1
    run = int(np.gcd.reduce(np.append(breaks, len(starts))))
    return run, int(steps[0]) if run > 1 else 0
