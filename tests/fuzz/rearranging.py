"""Random operators that put the elements of one value in another order or shape, or repeat them."""

from __future__ import annotations

import numpy as np

from tests.fuzz.choices import chance, divisor, pick
from tests.fuzz.draft import Draft, Value
from tests.fuzz.slicing import slice_of


def transposed(draft: Draft, x: Value) -> list[Value]:
    rest = list(range(x.rank))
    order = [rest.pop(draft.choices.number(0, len(rest) - 1)) for _ in range(x.rank)]
    return [draft.one("Transpose", [x], [x.shape[a] for a in order], perm=order)]


def shuffled(draft: Draft, x: Value) -> list[Value]:
    """Channels in groups, the groups interleaved."""
    n, c, *rest = x.shape
    groups = divisor(draft.choices, c)
    apart = draft.reshaped(x, n, groups, c // groups, *rest)
    order = [0, 2, 1, *range(3, 3 + len(rest))]
    turned = draft.one("Transpose", [apart], [apart.shape[a] for a in order], perm=order)
    return [draft.reshaped(turned, *x.shape)]


def regrouped(draft: Draft, x: Value) -> list[Value]:
    """Two axes become one, or one becomes two."""
    axis = draft.axis(x)
    if x.rank > 2 and (x.rank > 4 or chance(draft.choices, 50)) and axis + 1 < x.rank:
        return [draft.reshaped(x, *x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])]
    if x.rank > 5:
        return [draft.reshaped(x, x.shape[0], x.size // x.shape[0])]
    part = divisor(draft.choices, x.shape[axis])
    return [draft.reshaped(x, *x.shape[:axis], part, x.shape[axis] // part, *x.shape[axis + 1 :])]


def to_planes(draft: Draft, x: Value) -> list[Value]:
    """Any shape as [N, C, H, W]."""
    n = divisor(draft.choices, x.size)
    c = divisor(draft.choices, x.size // n)
    h = divisor(draft.choices, x.size // (n * c))
    return [draft.reshaped(x, n, c, h, x.size // (n * c * h))]


def flattened(draft: Draft, x: Value) -> list[Value]:
    axis = draft.choices.number(1, x.rank - 1)
    rows = int(np.prod(x.shape[:axis]))
    return [draft.one("Flatten", [x], [rows, x.size // rows], axis=axis)]


def tiled(draft: Draft, x: Value) -> list[Value]:
    repeats = [draft.choices.number(2, 3) if chance(draft.choices, 30) else 1 for _ in x.shape]
    shape = [s * r for s, r in zip(x.shape, repeats, strict=True)]
    return [draft.one("Tile", [x, draft.integers(repeats)], shape)]


def expanded(draft: Draft, x: Value) -> list[Value]:
    axis = draft.axis(x)
    row = slice_of(draft, x, axis, 0, 1)
    shape = [s if s > 1 else draft.choices.number(1, 3) for s in row.shape]
    return [draft.one("Expand", [row, draft.integers(shape)], shape)]


def depth_to_space(draft: Draft, x: Value) -> list[Value]:
    n, c, h, w = x.shape
    blocks = [b for b in (2, 3) if c % (b * b) == 0]
    if not blocks:
        return space_to_depth(draft, x)
    b = pick(draft.choices, blocks)
    mode = pick(draft.choices, ["DCR", "CRD"])
    return [draft.one("DepthToSpace", [x], [n, c // (b * b), h * b, w * b], blocksize=b, mode=mode)]


def space_to_depth(draft: Draft, x: Value) -> list[Value]:
    n, c, h, w = x.shape
    b = next((b for b in (2, 3) if h % b == w % b == 0), 1)
    return [draft.one("SpaceToDepth", [x], [n, c * b * b, h // b, w // b], blocksize=b)]


def enlarged(draft: Draft, x: Value) -> list[Value]:
    """Nearest, by whole factors."""
    n, c, h, w = x.shape
    by = (draft.choices.number(1, 3), draft.choices.number(1, 3))
    mode, rounding = pick(draft.choices, [("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")])
    scales = draft.constant([1, 1, *by])
    shape = [n, c, h * by[0], w * by[1]]
    return [
        draft.one(
            "Resize",
            [x, "", scales],
            shape,
            mode="nearest",
            coordinate_transformation_mode=mode,
            nearest_mode=rounding,
        )
    ]
