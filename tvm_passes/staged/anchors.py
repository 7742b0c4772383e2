"""The operators in numpy, on the rows of the operand that the asked rows of the result need.

Every sum of a convolution is a chain of fused multiply-adds from its bias on, in the order of
`tvm_passes.summation`: tiles have the bits of the whole, and compiled kernels the same. So have averages:
sums over the rows of windows and then over columns of these, or over a plane, multiplied by its share then.
Normalizations, which are never tiled, are computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..summation import virtual_order
from ..window_taps import WindowTaps, window_taps
from .fused import Factor, Values, Wide, multiply_add, sums_of_products
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


def compute(operator: Operator, x: Values, step: Step, width: int, tables: Sequence[Values] = ()) -> Values:
    """Rows of the result of an operator without weights, before its epilogue, [N, C, rows, width].

    x: rows `step.operand_rows` of the operand, [N, C, rows, W]; tables: what is in the operator's.
    Raises StagedProgramError for a kind that has no arithmetic here.
    """
    if operator.kind in ("elementwise", "movement"):
        return x
    if operator.kind == "window_pool":
        return _window_pool(operator, x, step, width, tables)
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


def _window_pool(operator: Operator, x: Values, step: Step, width: int, tables: Sequence[Values]) -> Values:
    """Pools are not tiled: what they read is the whole plane."""
    rows, columns = _pool_taps(operator, x, step.rows[1] - step.rows[0], width, tables)
    if operator.reduce == "max":
        return np.asarray(x[:, :, rows.index].max(axis=3)[..., columns.index].max(axis=4))
    down = _weighted([x[:, :, index] for index in rows.index.T], rows.weight.T[:, :, None])
    return _weighted([down[..., index] for index in columns.index.T], columns.weight.T)


def _pool_taps(
    operator: Operator, x: Values, rows: int, width: int, tables: Sequence[Values]
) -> tuple[WindowTaps, WindowTaps]:
    if tables:
        return WindowTaps(tables[0], tables[1]), WindowTaps(tables[2], tables[3])
    along_rows, along_columns = (
        window_taps(
            operator.kernel[axis],
            operator.stride[axis],
            (operator.padding[axis], operator.padding[axis + 2]),
            operator.dilation[axis],
            results,
            x.shape[2 + axis],
            operator.count_include_pad,
        )
        for axis, results in enumerate((rows, width))
    )
    return along_rows, along_columns


def _weighted(terms: Sequence[Values], weights: Values) -> Values:
    """The sum of products, one multiply-add after the other."""
    sums: Factor = np.float32(0)
    for term, weight in zip(terms, weights, strict=True):
        sums = multiply_add(term, weight, sums)
    return np.asarray(sums)


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
