"""Random operators that compute: convolutions, pools, normalizations, element-wise work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.choices import chance, divisor, pick
from tests.fuzz.draft import Draft, Value

Compute = Callable[[Draft, Value], Value]


def _pads(draft: Draft, kernel: list[int]) -> list[int]:
    """Of rows and columns before, then after: none, half a kernel, or anything smaller than it."""
    kind = draft.choices.number(0, 2)
    if kind == 0:
        return [0, 0, 0, 0]
    if kind == 1:
        return [k // 2 for k in kernel] * 2
    return [draft.choices.number(0, k - 1) for k in kernel * 2]


def _outputs(
    x: Value, kernel: list[int], strides: list[int], pads: list[int], dilations: list[int]
) -> list[int]:
    """Rows and columns of a window's results; fewer than one where it is larger than the plane."""
    return [
        (x.shape[2 + a] + pads[a] + pads[2 + a] - dilations[a] * (kernel[a] - 1) - 1) // strides[a] + 1
        for a in (0, 1)
    ]


def _window(draft: Draft, x: Value, most: int) -> tuple[dict[str, Any], list[int]] | None:
    """Attributes of a window that fits, and the rows and columns of its results."""
    choices = draft.choices
    kernel = (
        [choices.number(1, most)] * 2
        if chance(choices, 80)
        else [choices.number(1, most), choices.number(1, most)]
    )
    strides = (
        [pick(choices, [1, 1, 1, 2, 2, 3])] * 2
        if chance(choices, 80)
        else [choices.number(1, 3) for _ in range(2)]
    )
    dilations = [pick(choices, [1, 1, 1, 1, 2])] * 2
    pads = _pads(draft, kernel)
    outputs = _outputs(x, kernel, strides, pads, dilations)
    if min(outputs) < 1:
        return None
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}, outputs


def _conv(draft: Draft, x: Value) -> Value:
    window = _window(draft, x, pick(draft.choices, [1, 3, 3, 5]))
    attributes, extents = window or ({"kernel_shape": [1, 1]}, list(x.shape[2:]))
    n, c = x.shape[:2]
    kind = draft.choices.number(0, 5)
    if kind == 0:
        groups, each = c, pick(draft.choices, [1, 1, 1, 2])
    elif kind == 1:
        groups = divisor(draft.choices, c)
        each = draft.choices.number(1, max(1, 40 // groups))
    else:
        groups, each = 1, draft.choices.number(1, 40)
    outputs, kernel = groups * each, attributes["kernel_shape"]
    fan_in = c // groups * kernel[0] * kernel[1]
    inputs: list[Value | str] = [x, draft.floats(outputs, c // groups, *kernel, scale=fan_in**-0.5)]
    if chance(draft.choices, 50):
        inputs.append(draft.floats(outputs))
    return draft.one("Conv", inputs, [n, outputs, *extents], group=groups, **attributes)


def _one_hot(draft: Draft, x: Value) -> Value:
    """A shift, written as a depthwise convolution with one tap per channel."""
    n, c, h, w = x.shape
    weight = np.zeros((c, 1, 3, 3))
    taps = draft.random.integers(0, 3, (2, c))
    weight[np.arange(c), 0, taps[0], taps[1]] = 1.0
    stride = pick(draft.choices, [1, 1, 2])
    extents = [(h - 1) // stride + 1, (w - 1) // stride + 1]
    return draft.one(
        "Conv", [x, draft.constant(weight)], [n, c, *extents], group=c, pads=[1] * 4, strides=[stride] * 2
    )  # fmt: skip


def _transposed(draft: Draft, x: Value) -> Value:
    n, c, h, w = x.shape
    stride, kernel = draft.choices.number(1, 2), draft.choices.number(2, 3)
    outputs = draft.choices.number(1, 16)
    extents = [(h - 1) * stride + kernel, (w - 1) * stride + kernel]
    weight = draft.floats(c, outputs, kernel, kernel, scale=(c * kernel) ** -0.5)
    return draft.one("ConvTranspose", [x, weight], [n, outputs, *extents], strides=[stride] * 2)


def _pool(draft: Draft, x: Value) -> Value:
    kind = pick(draft.choices, ["MaxPool", "AveragePool"])
    window = _window(draft, x, 3)
    if window is None:
        return draft.one("GlobalAveragePool", [x], [*x.shape[:2], 1, 1])
    attributes, extents = window
    del attributes["dilations"]
    extents = _outputs(x, attributes["kernel_shape"], attributes["strides"], attributes["pads"], [1, 1])
    if kind == "AveragePool" and chance(draft.choices, 30):
        attributes["count_include_pad"] = 1
    return draft.one(kind, [x], [*x.shape[:2], *extents], **attributes)


def _global_pool(draft: Draft, x: Value) -> Value:
    kind = pick(draft.choices, ["GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax"])
    n, c = x.shape[:2]
    if kind.startswith("Global"):
        return draft.one(kind, [x], [n, c, 1, 1])
    keep = draft.choices.number(0, 1)
    return draft.one(kind, [x, draft.integers([2, 3])], [n, c, 1, 1] if keep else [n, c], keepdims=keep)


def _batch_norm(draft: Draft, x: Value) -> Value:
    c = x.shape[1]
    variance = draft.constant(draft.random.uniform(0.5, 2.0, c))
    return draft.one(
        "BatchNormalization", [x, draft.floats(c), draft.floats(c), draft.floats(c), variance], x.shape
    )


def _normalization(draft: Draft, x: Value) -> Value:
    if x.rank == 4 and chance(draft.choices, 40):
        c = x.shape[1]
        return draft.one("InstanceNormalization", [x, draft.floats(c), draft.floats(c)], x.shape, epsilon=0.1)
    return draft.one("Softmax", [x], x.shape, axis=draft.choices.number(0, x.rank - 1))


def _linear(draft: Draft, x: Value) -> Value:
    rows, columns = x.size // x.shape[-1], x.shape[-1]
    outputs = draft.choices.number(1, 40)
    weight = [columns, outputs]
    if x.rank == 2 and chance(draft.choices, 50):
        turned = draft.choices.number(0, 1)
        name = draft.floats(*(weight[::-1] if turned else weight), scale=columns**-0.5)
        return draft.one("Gemm", [x, name, draft.floats(outputs)], [rows, outputs], transB=turned)
    return draft.one("MatMul", [x, draft.floats(*weight, scale=columns**-0.5)], [*x.shape[:-1], outputs])


def _unary(draft: Draft, x: Value) -> Value:
    operator = pick(
        draft.choices,
        ["Relu", "Relu", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "HardSigmoid", "Elu", "Clip",
         "Abs", "Neg", "Softplus", "PRelu", "Erf", "Gelu"],
    )  # fmt: skip
    if operator == "Gelu":  # as exporters write it
        inner = draft.one("Erf", [draft.one("Mul", [x, draft.constant(0.5**0.5)], x.shape)], x.shape)
        raised = draft.one("Add", [inner, draft.constant(1.0)], x.shape)
        product = draft.one("Mul", [x, raised], x.shape)
        return draft.one("Mul", [product, draft.constant(0.5)], x.shape)
    if operator == "Clip":
        bounds = [draft.constant(n) for n in pick(draft.choices, [(0.0, 6.0), (-0.5, 0.75), (0.25, 2.0)])]
        return draft.one("Clip", [x, *bounds], x.shape)
    if operator == "PRelu":
        slope = [x.shape[1], *[1] * (x.rank - 2)] if x.rank > 2 else [x.shape[1]]
        return draft.one("PRelu", [x, draft.floats(*slope)], x.shape)
    return draft.one(operator, [x], x.shape)


def _operand(draft: Draft, x: Value) -> Value:
    """A second operand: as large as the first, smaller along some axes, or with fewer axes."""
    kind = draft.choices.number(0, 5)
    if kind <= 2:
        others = [v for v in draft.values if v.rank == x.rank and _spreads(v.shape, x.shape)]
        return pick(draft.choices, others[-4:] or [x])
    if kind == 3:
        shape = [1, x.shape[1], *[1] * (x.rank - 2)]
    else:
        shape = [size if chance(draft.choices, 60) else 1 for size in x.shape]
        shape = shape[draft.choices.number(0, x.rank) :]
    return Value(draft.floats(*shape), tuple(shape))


def _spreads(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(a == b or 1 in (a, b) for a, b in zip(one, other, strict=True))


def _binary(draft: Draft, x: Value) -> Value:
    operator = pick(draft.choices, ["Add", "Add", "Add", "Sub", "Mul", "Mul", "Max", "Min", "Div"])
    other = _operand(draft, x)
    if operator == "Div":  # by something from 1/2 to 3/2
        positive = draft.one("Sigmoid", [other], other.shape)
        other = draft.one("Add", [positive, draft.constant(0.5)], other.shape)
    operands = [x, other] if operator == "Div" or chance(draft.choices, 60) else [other, x]
    return draft.one(operator, operands, np.broadcast_shapes(x.shape, other.shape))


def _squeeze_excite(draft: Draft, x: Value) -> Value:
    n, c = x.shape[:2]
    pooled = draft.one("GlobalAveragePool", [x], [n, c, 1, 1])
    scale = draft.one("Sigmoid", [_pointwise(draft, pooled, c)], [n, c, 1, 1])
    return draft.one("Mul", [x, scale], x.shape)


def _residual(draft: Draft, x: Value) -> Value:
    """A convolution of the same shape, added to what it reads or to another value."""
    c = x.shape[1]
    kernel = pick(draft.choices, [1, 3])
    weight = draft.floats(c, c, kernel, kernel, scale=(c * kernel**2) ** -0.5)
    inner = draft.one("Conv", [x, weight], x.shape, pads=[kernel // 2] * 4)
    return draft.one("Add", [inner, draft.like(x)], x.shape)


def _pointwise(draft: Draft, x: Value, outputs: int) -> Value:
    n, c, *extents = x.shape
    return draft.one("Conv", [x, draft.floats(outputs, c, 1, 1, scale=c**-0.5)], [n, outputs, *extents])


OF_PLANES: tuple[Compute, ...] = (
    _conv, _conv, _conv, _conv, _one_hot, _one_hot, _transposed, _pool, _pool, _global_pool, _batch_norm,
    _squeeze_excite, _residual, _residual,
)  # fmt: skip
"""Of tensors [N, C, H, W]."""
OF_ANY: tuple[Compute, ...] = (_unary, _unary, _unary, _binary, _binary, _binary, _normalization)
"""Of tensors of two axes or more."""


def compute(draft: Draft, x: Value) -> Value:
    """What a random operator that computes makes of a value."""
    if x.rank == 4:
        return pick(draft.choices, OF_PLANES + OF_ANY)(draft, x)
    return pick(draft.choices, (*OF_ANY, _linear, _linear))(draft, x)
