"""Random operators that compute: those of `windows`, normalizations, matrix products, element-wise work."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.fuzz import windows
from tests.fuzz.choices import chance, pick
from tests.fuzz.draft import Draft, Value

Compute = Callable[[Draft, Value], Value]


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


OF_PLANES: tuple[Compute, ...] = (
    windows.convolution,
    windows.convolution,
    windows.convolution,
    windows.convolution,
    windows.one_hot,
    windows.one_hot,
    windows.transposed,
    windows.pool,
    windows.pool,
    windows.global_pool,
    _batch_norm,
    windows.squeeze_excite,
    windows.residual,
    windows.residual,
)
"""Of tensors [N, C, H, W]."""
OF_ANY: tuple[Compute, ...] = (_unary, _unary, _unary, _binary, _binary, _binary, _normalization)
"""Of tensors of two axes or more."""


def compute(draft: Draft, x: Value) -> Value:
    """What a random operator that computes makes of a value."""
    if x.rank == 4:
        return pick(draft.choices, OF_PLANES + OF_ANY)(draft, x)
    return pick(draft.choices, (*OF_ANY, _linear, _linear))(draft, x)


IN_NETWORKS: tuple[Compute, ...] = (
    windows.same_plane,
    windows.same_plane,
    windows.same_plane,
    windows.depthwise,
    windows.depthwise,
    windows.one_hot,
    windows.one_hot,
    windows.convolution,
    windows.shift_module,
    windows.shift_module,
    windows.bottleneck,
    windows.pool,
    windows.resized,
    _batch_norm,
    windows.residual,
    windows.squeeze_excite,
    _unary,
    _unary,
    _binary,
    windows.global_pool,
    _normalization,
)
"""Of tensors [N, C, H, W]."""


def convolve(draft: Draft, x: Value) -> Value:
    """What a random operator of convolutional networks makes of planes."""
    return pick(draft.choices, IN_NETWORKS)(draft, x)
