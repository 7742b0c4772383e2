"""The steps of an epilogue in numpy: one element's result depends on nothing but that element.

So rows computed in tiles have the bits of rows computed together. Transcendental functions are evaluated in
float64 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .fused import Values, Wide, multiply_add
from .program import TENSOR_KINDS, PostOperation, StagedProgramError

_erf_of = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Wide) -> Wide:
    return np.asarray(_erf_of(x), np.float64)


def _sigmoid(x: Wide) -> Wide:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -700.0, None))))


def _gelu(x: Wide) -> Wide:
    return np.asarray(0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))))


def _gelu_tanh(x: Wide) -> Wide:
    return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))


def _gate(x: Values, alpha: np.float32, beta: np.float32) -> Values:
    return np.asarray(np.clip(multiply_add(x, alpha, beta), np.float32(0), np.float32(1)))


_WIDE: dict[str, Callable[..., Wide]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "exp": np.exp,
    "erf": _erf,
    "power_scalar": lambda x, exponent: np.power(x, exponent),
}
_UNARY: dict[str, Callable[..., Values]] = {
    "relu": lambda x: np.maximum(x, np.float32(0)) + np.float32(0),  # of -0, +0
    "clip": lambda x, low, high: np.maximum(np.minimum(x, high), low),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, x * slope),
    "hard_sigmoid": lambda x, alpha, beta: _gate(x, alpha, beta),
    "hard_swish": lambda x: x * _gate(x, np.float32(1 / 6), np.float32(0.5)),
    "sqrt": np.sqrt,
    "abs": np.abs,
    "negative": np.negative,
    "add_scalar": lambda x, value: x + value,
    "multiply_scalar": lambda x, value: x * value,
}
_VECTOR: dict[str, Callable[[Values, Values], Values]] = {
    "add_vector": lambda x, c: x + c,
    "multiply_vector": lambda x, c: x * c,
    "prelu": lambda x, slope: np.where(x > 0, x, x * slope),
}
_TENSOR: dict[str, Callable[[Values, Values], Values]] = dict(
    zip(
        TENSOR_KINDS,
        (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum),
        strict=True,
    )
)


def apply(posts: Sequence[PostOperation], value: Values, others: Sequence[Values | None]) -> Values:
    """Steps on [N, C, rows, W], one after the other; a product and the sum behind it are rounded once.

    others: of each step, the vector as [C, 1, 1] or the second tensor; None for a function of the value.
    Raises StagedProgramError for a kind that is not known, or that lacks its vector or tensor.
    """
    steps = list(zip(posts, others, strict=True))
    while steps:
        (post, other), *steps = steps
        factor, sum_ = _factor(post, other), _sum(*steps[0]) if steps else None
        if factor is not None and sum_ is not None:
            (sign, addend), steps = sum_, steps[1:]
            value = multiply_add(value, sign * factor, addend)
        else:
            value = _apply(post, value, other)
    return value


def _factor(post: PostOperation, other: Values | None) -> Values | None:
    """What a step multiplies by, if it does."""
    if post.kind == "multiply_scalar":
        return np.asarray(post.constants, np.float32)
    return other if post.kind in ("multiply_vector", "multiply") else None


def _sum(post: PostOperation, other: Values | None) -> tuple[np.float32, Values] | None:
    """The sign with which the value goes into a sum, and what it is added to, if the step is a sum."""
    plus, minus = np.float32(1), np.float32(-1)
    if post.kind == "add_scalar":
        return plus, np.asarray(post.constants, np.float32)
    if other is None:
        return None
    if post.kind in ("add_vector", "add"):
        return plus, other
    if post.kind == "subtract":
        return (minus, other) if post.swapped else (plus, -other)
    return None


def _apply(post: PostOperation, value: Values, other: Values | None) -> Values:
    # overflow to infinity is the function's value, not an accident
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        if post.kind in _WIDE:
            return _WIDE[post.kind](value.astype(np.float64), *post.constants).astype(np.float32)
        if post.kind in _UNARY:
            return _UNARY[post.kind](value, *map(np.float32, post.constants))
        if other is not None and post.kind in _VECTOR:
            return _VECTOR[post.kind](value, other)
        if other is not None and post.kind in _TENSOR:
            left, right = (other, value) if post.swapped else (value, other)
            return _TENSOR[post.kind](left, right)
    raise StagedProgramError(f"the step '{post.kind}' is not known, or lacks its operand")
