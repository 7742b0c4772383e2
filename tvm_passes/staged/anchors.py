"""The operators in numpy, on the rows of the operand that the asked rows of the result need.

Every row of a convolution's result is a matrix product of its own, of one shape however many rows are
computed together: so tiles have the bits of the whole. Pools sum tap by tap; normalizations, which are never
tiled, are computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .elementwise import Values, Wide
from .program import Operator, StagedProgramError, Step


def compute(operator: Operator, x: Values, weight: Values | None, step: Step, width: int) -> Values:
    """Rows of the result without the epilogue, [N, C, rows, width].

    x: rows `step.operand_rows` of the operand, [N, C, rows, W].
    Raises StagedProgramError for a kind that has no arithmetic here.
    """
    if operator.kind in ("elementwise", "movement"):
        return x
    if weight is not None:
        return _convolution(operator, x, weight, step, width)
    if operator.kind == "window_pool":
        return _window_pool(operator, x, step, width)
    if operator.kind in _WHOLE:
        return _WHOLE[operator.kind](operator, x.astype(np.float64)).astype(np.float32)
    name = operator.relax or operator.kind
    raise StagedProgramError(f"{operator.name}: {name} has no reference implementation")


def _padded(operator: Operator, x: Values, step: Step, width: int, fill: float) -> Values:
    """The operand with its padding and nothing more: a window fits at every position, at the last exactly."""
    left = operator.padding[1]
    across = (width - 1) * operator.stride[1] + (operator.kernel[1] - 1) * operator.dilation[1] + 1
    inside = x[..., : max(0, across - left)]
    right = max(0, across - left - inside.shape[3])
    return np.pad(inside, ((0, 0), (0, 0), step.padding_rows, (left, right)), constant_values=fill)


def _taps(operator: Operator, padded: Values, rows: int, width: int) -> Iterator[Values]:
    """What every tap of the window reads, [N, C, rows, width] each, in row-major order."""
    (down, across), (below, beside) = operator.stride, operator.dilation
    for i in range(operator.kernel[0]):
        for j in range(operator.kernel[1]):
            top, left = i * below, j * beside
            yield padded[
                :,
                :,
                top : top + (rows - 1) * down + 1 : down,
                left : left + (width - 1) * across + 1 : across,
            ]


def _convolution(operator: Operator, x: Values, weight: Values, step: Step, width: int) -> Values:
    rows = step.rows[1] - step.rows[0]
    padded = _padded(operator, x, step, width, 0.0)
    if operator.kind == "depthwise":
        taps = weight.reshape(weight.shape[0], -1).T[:, :, None, None]
        sums = np.zeros((x.shape[0], x.shape[1], rows, width), np.float32)
        for tap, values in zip(taps, _taps(operator, padded, rows, width), strict=True):
            sums += tap * values
        return sums
    batch, groups = x.shape[0], operator.groups
    # [N, rows, groups, channels of a group and taps, width]
    columns = np.stack(list(_taps(operator, padded, rows, width)), axis=2)
    columns = columns.reshape(batch, groups, -1, rows, width).transpose(0, 3, 1, 2, 4)
    products = np.matmul(weight.reshape(groups, weight.shape[0] // groups, -1), np.ascontiguousarray(columns))
    return np.ascontiguousarray(products.reshape(batch, rows, -1, width).transpose(0, 2, 1, 3))


def _window_pool(operator: Operator, x: Values, step: Step, width: int) -> Values:
    rows = step.rows[1] - step.rows[0]
    if operator.reduce == "max":
        padded = _padded(operator, x, step, width, -np.inf)
        return np.asarray(np.maximum.reduce(list(_taps(operator, padded, rows, width))))
    sums = sum(_taps(operator, _padded(operator, x, step, width, 0.0), rows, width), np.float32(0))
    return np.asarray(sums / _counted(operator, x, step, width), np.float32)


def _counted(operator: Operator, x: Values, step: Step, width: int) -> Values:
    """How many taps of every window count in an average: with padding, but none beyond it (ceil mode)."""
    counts = []
    extents = ((0, step.rows[0], step.rows[1], _plane_height(step)), (1, 0, width, x.shape[3]))
    for axis, first, last, size in extents:
        start = np.arange(first, last) * operator.stride[axis] - operator.padding[axis]
        taps = start[:, None] + np.arange(operator.kernel[axis]) * operator.dilation[axis]
        low, high = 0, size
        if operator.count_include_pad:
            low, high = -operator.padding[axis], size + operator.padding[axis + 2]
        counts.append(((taps >= low) & (taps < high)).sum(axis=1))
    return np.asarray(np.maximum(np.outer(*counts), 1), np.float32)


def _plane_height(step: Step) -> int:
    """Pools are not tiled: their operand is the whole plane."""
    return step.operand_rows[1]


def _global_pool(operator: Operator, x: Wide) -> Wide:
    reduce = np.mean if operator.reduce == "avg" else np.max
    return np.asarray(reduce(x, axis=(2, 3), keepdims=True))


def _normalized(x: Wide, axes: tuple[int, ...], epsilon: float) -> Wide:
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + epsilon))


def _group_norm(operator: Operator, x: Wide) -> Wide:
    grouped = x.reshape(x.shape[0], operator.groups, -1)
    return _normalized(grouped, (2,), operator.epsilon).reshape(x.shape)


def _softmax(operator: Operator, x: Wide) -> Wide:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


_WHOLE: dict[str, Callable[[Operator, Wide], Wide]] = {
    "global_pool": _global_pool,
    "layer_norm": lambda operator, x: _normalized(x, (1,), operator.epsilon),
    "group_norm": _group_norm,
    "softmax": _softmax,
}
