"""Random operators that take parts of values and put values together from parts."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.choices import chance, cut, divisor, pick
from tests.fuzz.draft import Draft, Value


def _numbered(draft: Draft, axis: int, rank: int) -> int:
    """The axis, counted from the end at times."""
    return axis - rank if chance(draft.choices, 20) else axis


def slice_of(draft: Draft, x: Value, axis: int, start: int, stop: int) -> Value:
    """Elements from `start` up to, but not including, `stop`."""
    shape = [*x.shape[:axis], stop - start, *x.shape[axis + 1 :]]
    bounds = [draft.integers([n]) for n in (start, stop, axis)]
    return draft.one("Slice", [x, *bounds], shape)


def joined(draft: Draft, parts: list[Value], axis: int) -> Value:
    """One value behind the other."""
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return draft.one("Concat", parts, shape, axis=_numbered(draft, axis, len(shape)))


def sliced(draft: Draft, x: Value) -> list[Value]:
    choices = draft.choices
    axes = [a for a in range(x.rank) if chance(choices, 40)] or [draft.axis(x)]
    shape, starts, stops, steps = list(x.shape), [], [], []
    for axis in axes:
        size = x.shape[axis]
        step = pick(choices, [1, 1, 1, 2, 2, 3, -1, -2])
        first, last = sorted((choices.number(0, size - 1), choices.number(0, size - 1)))
        if step < 0:
            first, last = last, first
        shape[axis] = abs(last - first) // abs(step) + 1
        starts.append(first - size if chance(choices, 20) else first)
        stop = last + (1 if step > 0 else -1)
        open_ended = (stop == size and step > 0 and chance(choices, 30)) or stop < 0
        stops.append(int(math.copysign(2**31 - 1, step)) if open_ended else stop)
        steps.append(step)
    axes = [_numbered(draft, axis, x.rank) for axis in axes]
    tables = [draft.integers(t) for t in (starts, stops, axes, steps)]
    return [draft.one("Slice", [x, *tables], shape)]


def padded(draft: Draft, x: Value) -> list[Value]:
    choices = draft.choices
    mode = pick(choices, ["constant"] * 4 + ["reflect", "edge", "wrap"])
    axes = [a for a in range(x.rank) if chance(choices, 70 if a > 1 else 15)]
    pads = [[0, 0] for _ in range(x.rank)]
    for axis in axes:
        size = x.shape[axis]
        for side in (0, 1):
            most = min(3, size - 1) if mode in ("reflect", "wrap") else 3
            pads[axis][side] = choices.number(0, most)
    if mode == "constant" and chance(choices, 30):
        for axis in axes:
            least = -((x.shape[axis] - 1) // 2)
            pads[axis][choices.number(0, 1)] = choices.number(least, 0)
    shape = [size + sum(p) for size, p in zip(x.shape, pads, strict=True)]
    flat = [p[0] for p in pads] + [p[1] for p in pads]
    inputs: list[Value | str] = [x, draft.integers(flat)]
    if mode == "constant" and chance(choices, 50):
        inputs.append(draft.constant(pick(choices, [0.0, 0.0, 1.5])))
    return [draft.one("Pad", inputs, shape, mode=mode)]


def concatenated(draft: Draft, x: Value) -> list[Value]:
    """With others that fit along a random axis."""
    choices, axis = draft.choices, draft.axis(x) if chance(draft.choices, 40) else min(1, x.rank - 1)

    def fits(other: Value) -> bool:
        return other.rank == x.rank and all(a == axis or other.shape[a] == x.shape[a] for a in range(x.rank))

    others = [value for value in draft.values if fits(value)] or [x]
    parts = [x, *(pick(choices, others) for _ in range(choices.number(1, 2)))]
    if chance(choices, 10):
        shape = list(x.shape)
        shape[axis] = choices.number(1, 2)
        name = draft.floats(*shape)
        parts.append(Value(name, tuple(shape)))
    order = [parts.pop(choices.number(0, len(parts) - 1)) for _ in range(len(parts))]
    return [joined(draft, order, axis)]


def skip_connection(draft: Draft, x: Value) -> list[Value]:
    """Concat along channels of planes that are cut or padded to one size, as in a U-Net."""
    choices = draft.choices
    others = [v for v in draft.values if v.rank == 4 and v.shape[0] == x.shape[0]]
    parts = [x, *(pick(choices, others) for _ in range(choices.number(1, 2)))]
    extents = [choices.number(1, 9) if chance(choices, 20) else pick(choices, parts).shape[a] for a in (2, 3)]
    fitted = []
    for part in parts:
        value = part
        for axis, size in zip((2, 3), extents, strict=True):
            value = _fitted(draft, value, axis, size)
        fitted.append(value)
    if chance(choices, 50):
        fitted.reverse()
    return [joined(draft, fitted, 1)]


def _fitted(draft: Draft, x: Value, axis: int, size: int) -> Value:
    """The value cut or padded with zeros to a size along an axis."""
    spare = x.shape[axis] - size
    if spare > 0:
        first = draft.choices.number(0, spare)
        return slice_of(draft, x, axis, first, first + size)
    if spare < 0:
        before = draft.choices.number(0, -spare)
        pads = [0] * (2 * x.rank)
        pads[axis], pads[axis + x.rank] = before, -spare - before
        shape = [*x.shape[:axis], size, *x.shape[axis + 1 :]]
        return draft.one("Pad", [x, draft.integers(pads)], shape)
    return x


def split(draft: Draft, x: Value) -> list[Value]:
    axis = draft.axis(x) if chance(draft.choices, 50) else 1
    parts = min(x.shape[axis], draft.choices.number(1, 3))
    sizes = cut(draft.choices, x.shape[axis], parts)
    shapes = [[*x.shape[:axis], size, *x.shape[axis + 1 :]] for size in sizes]
    return draft.node("Split", [x, draft.integers(sizes)], *shapes, axis=axis)


def rolled(draft: Draft, x: Value) -> list[Value]:
    axis = draft.axis(x)
    size = x.shape[axis]
    if size == 1:
        return [x]
    by = draft.choices.number(1, size - 1)
    return [joined(draft, [slice_of(draft, x, axis, by, size), slice_of(draft, x, axis, 0, by)], axis)]


def gathered(draft: Draft, x: Value) -> list[Value]:
    axis = draft.axis(x)
    size = x.shape[axis]
    if chance(draft.choices, 40):
        indices = draft.random.permutation(size)
    else:
        indices = draft.random.integers(-size, size, draft.choices.number(1, size + 2))
    shape = [*x.shape[:axis], len(indices), *x.shape[axis + 1 :]]
    return [draft.one("Gather", [x, draft.integers(indices)], shape, axis=_numbered(draft, axis, x.rank))]


def gathered_elements(draft: Draft, x: Value) -> list[Value]:
    """An element for each index, of as many rows or fewer; or the other way round, the last one counts."""
    axis = draft.axis(x)
    shape = [draft.choices.number(1, size) if chance(draft.choices, 40) else size for size in x.shape]
    indices = draft.random.integers(-x.shape[axis], x.shape[axis], shape)
    if chance(draft.choices, 50):
        return [draft.one("GatherElements", [x, draft.constant(indices, "int64")], shape, axis=axis)]
    order = np.argsort(
        draft.random.random(x.shape), axis=axis
    )  # no element twice: which counts is not defined
    different = order[tuple(slice(size) for size in shape)]
    inputs: list[Value | str] = [x, draft.constant(different, "int64"), draft.floats(*shape)]
    return [draft.one("ScatterElements", inputs, x.shape, axis=axis)]


def scattered(draft: Draft, x: Value) -> list[Value]:
    """Some channels of a tensor are assigned from others, at indices of one to all axes."""
    source = draft.like(x)
    last = draft.choices.number(1, x.rank)
    boxes = [sorted((draft.choices.number(0, s - 1), draft.choices.number(0, s - 1))) for s in x.shape[:last]]
    ranges = [np.arange(low, high + 1) for low, high in boxes]
    indices = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
    updates = source
    for axis, positions in enumerate(ranges):
        size = len(positions)
        first = draft.choices.number(0, x.shape[axis] - size)
        if size < x.shape[axis]:
            updates = slice_of(draft, updates, axis, first, first + size)
    data: Value | str = x if chance(draft.choices, 60) else draft.constant(np.zeros(x.shape))
    return [draft.one("ScatterND", [data, draft.constant(indices, "int64"), updates], x.shape)]


def temporal_shift(draft: Draft, x: Value) -> list[Value]:
    """Channels of images from those before and behind them, in clips of the batch."""
    n, c, *rest = x.shape
    clip = divisor(draft.choices, n)
    if clip == 1 or c == 1:
        return [x]
    frames = draft.reshaped(x, n // clip, clip, c, *rest)
    first = draft.choices.number(1, c - 1)
    earlier, later = slice_of(draft, frames, 2, 0, first), slice_of(draft, frames, 2, first, c)
    moved = [_delayed(draft, earlier, 1), later if chance(draft.choices, 50) else _delayed(draft, later, -1)]
    return [draft.reshaped(joined(draft, moved, 2), *x.shape)]


def _delayed(draft: Draft, frames: Value, by: int) -> Value:
    """Every frame one later (1) or earlier (-1), zeros at the end of the clip."""
    pads = [0] * (2 * frames.rank)
    pads[1 if by > 0 else 1 + frames.rank] = 1
    length = frames.shape[1]
    kept = slice_of(draft, frames, 1, 0, length - 1) if by > 0 else slice_of(draft, frames, 1, 1, length)
    return draft.one("Pad", [kept, draft.integers(pads)], frames.shape)
