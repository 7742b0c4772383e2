"""Random operators that only move data."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import rearranging, slicing
from tests.fuzz.choices import chance, pick
from tests.fuzz.draft import Draft, Value

Move = Callable[[Draft, Value], list[Value]]

OF_PLANES: tuple[Move, ...] = (
    slicing.skip_connection,
    slicing.skip_connection,
    rearranging.depth_to_space,
    rearranging.space_to_depth,
    rearranging.enlarged,
    rearranging.shuffled,
)
"""Of tensors [N, C, H, W]."""
OF_ANY: tuple[Move, ...] = (
    slicing.sliced,
    slicing.sliced,
    slicing.padded,
    slicing.padded,
    slicing.concatenated,
    slicing.concatenated,
    slicing.split,
    slicing.rolled,
    slicing.gathered,
    slicing.gathered_elements,
    slicing.scattered,
    slicing.temporal_shift,
    rearranging.tiled,
    rearranging.expanded,
    rearranging.transposed,
    rearranging.regrouped,
    rearranging.flattened,
)
"""Of tensors of two axes or more."""
IN_NETWORKS: tuple[Move, ...] = (
    slicing.skip_connection,
    slicing.concatenated,
    slicing.split,
    slicing.rolled,
    slicing.padded,
    slicing.sliced,
    slicing.temporal_shift,
    slicing.gathered_elements,
    slicing.scattered,
    rearranging.shuffled,
    rearranging.shuffled,
    rearranging.depth_to_space,
    rearranging.enlarged,
)
"""Of tensors [N, C, H, W], which they keep such."""


def move_planes(draft: Draft, x: Value) -> list[Value]:
    """What one makes of planes."""
    return pick(draft.choices, IN_NETWORKS)(draft, x)


def move(draft: Draft, x: Value) -> list[Value]:
    """What it makes of a value: one value, or several."""
    if x.rank != 4 and chance(draft.choices, 40):
        return rearranging.to_planes(draft, x)
    return pick(draft.choices, OF_PLANES + OF_ANY if x.rank == 4 else OF_ANY)(draft, x)
