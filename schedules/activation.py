"""Element-wise functions as straight-line arithmetic, which every vector unit executes in vectors.

Calls of the C library would be made lane by lane. The rational approximations are those of Eigen
(MathFunctionsImpl.h), the exponential follows Cephes; all are within 1e-6 of the result's magnitude
(erf: of 1, and GELU: of x, where their own value nears zero). GELU and SiLU also have a form for full vectors
of processors with lookups, see `schedules/gates.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import tirx

from schedules.gates import gated

Expr = Any

_EXP_LOWEST, _EXP_HIGHEST = -86.6, 88.72283
_EXP_SHIFT = 126
"""What the exponent of 2**(power - 1) has more than `power`, in float32's bits; powers are -125 and more."""
_LOG2_HIGH, _LOG2_LOW = 0.693359375, -2.12194440e-4
_EXP_POLYNOMIAL = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
_TANH_LIMIT = 7.90531110763549805
_TANH_NUMERATOR = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
_TANH_DENOMINATOR = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_ERF_LIMIT = 4.0
_ERF_NUMERATOR = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_DENOMINATOR = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
_PHI_LIMIT = 5.0
_PHI_NUMERATOR = (3.63123698e-03, 2.29244333e-02, 3.98945785e-01)
_PHI_DENOMINATOR = (5.32095695e-08, -8.63462689e-06, 9.78404833e-04, 2.14034415e-02, 2.24172965e-01, 1.0)


def constant(value: float) -> Expr:
    """A float32 constant."""
    return tirx.FloatImm("float32", value)


def bound(value: Expr, use: Callable[[Expr], Expr]) -> Expr:
    """`use(value)` with the value computed once; an expression alone is a tree and would repeat it."""
    name = tirx.Var("t", value.ty)
    return tirx.Let(name, value, use(name))


def _horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    result = constant(coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + constant(coefficient)
    return result


def _clamp(x: Expr, low: float, high: float) -> Expr:
    # Of two numbers of which one is NaN, processors and TVM take the second: so NaN passes.
    return tirx.max(constant(low), tirx.min(constant(high), x))


def _finite_exp(x: Expr) -> Expr:
    """e**x for x clamped to where the result is a normal number.

    The nearest whole power of 2 is found by a conversion that truncates, of a number that is never negative:
    not every processor can round in vectors (SSE2), and a call of the C library would.
    """

    def scaled(rest: Expr, shifted: Expr) -> Expr:
        polynomial = _horner(rest, _EXP_POLYNOMIAL) * (rest * rest) + rest + constant(1.0)
        # 2**power as 2 * 2**(power - 1): 2**128 is beyond float32, though products with it are not.
        return polynomial * constant(2.0) * tirx.reinterpret("float32", shifted << 23)

    def reduced(x: Expr, shifted: Expr, power: Expr) -> Expr:
        rest = x - power * constant(_LOG2_HIGH) - power * constant(_LOG2_LOW)
        return bound(rest, lambda rest: scaled(rest, shifted))

    def of_shifted(x: Expr, shifted: Expr) -> Expr:
        power = tirx.Cast("float32", shifted) - constant(_EXP_SHIFT)
        return bound(power, lambda power: reduced(x, shifted, power))

    def of_clamped(x: Expr) -> Expr:
        shifted = tirx.Cast("int32", x * constant(math.log2(math.e)) + constant(_EXP_SHIFT + 0.5))
        return bound(shifted, lambda shifted: of_shifted(x, shifted))

    return bound(_clamp(x, _EXP_LOWEST, _EXP_HIGHEST), of_clamped)


def _rational(x: Expr, limit: float, numerator: Sequence[float], denominator: Sequence[float]) -> Expr:
    """Odd function x * N(x * x) / D(x * x), x clamped to +-limit."""

    def of_square(x: Expr) -> Expr:
        return bound(x * x, lambda s: x * _horner(s, numerator) / _horner(s, denominator))

    return bound(_clamp(x, -limit, limit), of_square)


def exp(x: Expr) -> Expr:
    """e**x; 0 below and infinity above the range of normal numbers."""

    def with_limits(x: Expr) -> Expr:
        result = tirx.Select(x > constant(_EXP_HIGHEST), constant(math.inf), _finite_exp(x))
        return tirx.Select(x < constant(_EXP_LOWEST), constant(0.0), result)

    return bound(x, with_limits)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e**-x)."""
    return constant(1.0) / (constant(1.0) + _finite_exp(constant(0.0) - x))


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent, rational in x."""
    return _rational(x, _TANH_LIMIT, _TANH_NUMERATOR, _TANH_DENOMINATOR)


def erf(x: Expr) -> Expr:
    """Error function, rational in x."""
    return _rational(x, _ERF_LIMIT, _ERF_NUMERATOR, _ERF_DENOMINATOR)


def gelu(x: Expr) -> Expr:
    """x * Phi(x)."""
    return gated("gelu", x, x * _clamp(_phi(x), 0.0, 1.0))


def silu(x: Expr) -> Expr:
    """x * sigmoid(x)."""
    return gated("silu", x, x * sigmoid(x))


def _phi(x: Expr) -> Expr:
    """Normal distribution, 0.5 + x N(x * x) / D(x * x); x clamped to where it is within 8e-7 of 0 or 1.

    Minimax for what GELU needs of it, an absolute error: fewer terms than `erf`, whose error is relative.
    """
    return constant(0.5) + _rational(x, _PHI_LIMIT, _PHI_NUMERATOR, _PHI_DENOMINATOR)


def gelu_tanh(x: Expr) -> Expr:
    """GELU's tanh form (Hendrycks and Gimpel, 2016)."""
    # 0.5 * (1 + tanh(z)) = sigmoid(2 z)
    inner = constant(math.sqrt(8.0 / math.pi)) * (x + constant(0.044715) * x * x * x)
    return gated("gelu_tanh", x, x * sigmoid(inner))


def power(x: Expr, exponent: float) -> Expr:
    """x**exponent: products for small whole exponents, square root for a half, else the library's pow."""
    if exponent == 0.5:
        return tirx.sqrt(x)
    if exponent == int(exponent) and 0 < abs(exponent) <= 8:
        result = x
        for _ in range(int(abs(exponent)) - 1):
            result = result * x
        return result if exponent > 0 else constant(1.0) / result
    return tirx.power(x, constant(exponent))


UNARY: dict[str, Callable[..., Expr]] = {
    "relu": lambda x: tirx.max(constant(0.0), x),
    "clip": _clamp,
    "leaky_relu": lambda x, slope: tirx.Select(x > constant(0.0), x, x * constant(slope)),
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hard_sigmoid": lambda x, alpha, beta: _clamp(x * constant(alpha) + constant(beta), 0.0, 1.0),
    "hard_swish": lambda x: x * _clamp(x * constant(1 / 6) + constant(0.5), 0.0, 1.0),
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "exp": exp,
    "sqrt": tirx.sqrt,
    "abs": lambda x: tirx.max(x, constant(0.0) - x),
    "negative": lambda x: constant(0.0) - x,
    "erf": erf,
    "add_scalar": lambda x, value: x + constant(value),
    "multiply_scalar": lambda x, value: x * constant(value),
    "power_scalar": power,
}
"""Kind of a unary epilogue step → its expression in the value and the step's constants."""


def unary(kind: str, x: Expr, constants: Sequence[float]) -> Expr:
    """The element-wise function `kind` of x, which is computed once."""
    return bound(x, lambda x: UNARY[kind](x, *constants))
