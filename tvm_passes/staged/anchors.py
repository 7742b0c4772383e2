"""The operators in numpy, on the rows of the operand that the asked rows of the result need.

Every sum of a convolution is a chain of fused multiply-adds from its bias on, in the order of
`tvm_passes.summation`: tiles have the bits of the whole, and compiled kernels the same. So have averages:
sums in row-major order of taps times their shares, or of a plane, which its share is multiplied with then.
Normalizations, which are never tiled, are computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..summation import virtual_order
from .fused import Values, Wide, multiply_add, sums_of_products
from .program import Operator, StagedProgramError, Step


def convolve(operator: Operator, x: Values, weight: Values, starts: Values, step: Step, width: int) -> Values:
    """Rows of a convolution, [N, O, rows, width].

    x: rows `step.operand_rows` of the operand, [N, I, rows, W]; starts [O]: what the sums start from.
    """
    rows, (outputs, channels) = step.rows[1] - step.rows[0], weight.shape[:2]
    batch, groups = x.shape[0], x.shape[1] // channels
    padded = _padded(operator, x, step, width, 0.0)
    read = np.stack(list(_taps(operator, padded, rows, width)), axis=2)
    read = read.reshape(batch, groups, channels, -1, rows * width)
    channel, tap = virtual_order(channels, read.shape[3], operator.lanes)
    columns = read[:, :, channel, tap].transpose(1, 2, 0, 3).reshape(groups, len(channel), -1)
    weights = weight.reshape(groups, outputs // groups, channels, -1)[..., channel, tap]
    sums = sums_of_products(weights, columns, starts.reshape(groups, -1))
    return np.ascontiguousarray(sums.reshape(outputs, batch, rows, width).swapaxes(0, 1))


def compute(operator: Operator, x: Values, step: Step, width: int) -> Values:
    """Rows of the result of an operator without weights, before its epilogue, [N, C, rows, width].

    x: rows `step.operand_rows` of the operand, [N, C, rows, W].
    Raises StagedProgramError for a kind that has no arithmetic here.
    """
    if operator.kind in ("elementwise", "movement"):
        return x
    if operator.kind == "window_pool":
        return _window_pool(operator, x, step, width)
    if operator.kind == "global_pool":
        return _global_pool(operator, x)
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


def _window_pool(operator: Operator, x: Values, step: Step, width: int) -> Values:
    rows = step.rows[1] - step.rows[0]
    if operator.reduce == "max":
        padded = _padded(operator, x, step, width, -np.inf)
        return np.asarray(np.maximum.reduce(list(_taps(operator, padded, rows, width))))
    padded = _padded(operator, x, step, width, 0.0)
    # pools are not tiled: what they read is the whole plane
    down, across = (
        _shares(operator, axis, n, size) for axis, n, size in ((0, rows, x.shape[2]), (1, width, x.shape[3]))
    )
    taps = np.ndindex(*operator.kernel)
    sums = np.zeros((*x.shape[:2], rows, width), np.float32)
    for (i, j), values in zip(taps, _taps(operator, padded, rows, width), strict=True):
        sums = multiply_add(values, np.outer(down[:, i], across[:, j]), sums)
    return sums


def _shares(operator: Operator, axis: int, outputs: int, size: int) -> Values:
    """By what an average takes every tap times along one axis, [outputs, taps].

    Taps in the padding count if that is included, but none beyond it does (ceil mode).
    """
    start = np.arange(outputs)[:, None] * operator.stride[axis] - operator.padding[axis]
    taps = start + np.arange(operator.kernel[axis]) * operator.dilation[axis]
    inside = (taps >= 0) & (taps < size)
    counted = taps < size + operator.padding[axis + 2] if operator.count_include_pad else inside
    return np.asarray(inside / np.maximum(counted.sum(axis=1, keepdims=True), 1), np.float32)


def _global_pool(operator: Operator, x: Values) -> Values:
    if operator.reduce != "avg":
        return np.asarray(x.max(axis=(2, 3), keepdims=True))
    pixels = x.shape[2] * x.shape[3]
    sums = np.add.accumulate(x.reshape(*x.shape[:2], pixels), axis=2)[:, :, -1]
    return np.asarray(sums[:, :, None, None] * np.float32(1 / pixels))


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
    "layer_norm": lambda operator, x: _normalized(x, (1,), operator.epsilon),
    "group_norm": _group_norm,
    "softmax": _softmax,
}
