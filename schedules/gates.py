"""x times a gate of x: GELU and SiLU, whose form is chosen when the vectors are known.

They are x F(x) with 0 < F < 1 and F(-x) = 1 - F(x). With Q = 1 - F, which falls from one half to zero,

    x F(x) = max(x, 0) - c Q(c),  c = |x|

which needs no more than a short table of Q, where a processor can look up every lane of a vector by itself
(`schedules/gate_lookup.py`). Whether code has such vectors is known only once its loops are vectorized. Until
then a gate is a call of an operator, which carries x and the same value as portable arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from tvm.ir import Call, Op, register_op_attr

from schedules.piecewise import Array

Expr = Any

_PURE = 1
"""TVM's CallEffectKind."""


@attrs.frozen
class Gate:
    """closed: Q, in float64.
    limit:  where Q has long been less than 2e-7.
    degree: of polynomials that are as close to Q in a 31st of that.
    """

    closed: Callable[[Array], Array]
    limit: float
    degree: int


def _logistic(z: Array) -> Array:
    """1 - sigmoid(z)."""
    return 1.0 / (1.0 + np.exp(z))


def _normal(z: Array) -> Array:
    """1 - Phi(z)."""
    return np.array([0.5 * math.erfc(value / math.sqrt(2.0)) for value in z])


def _nearly_normal(z: Array) -> Array:
    """0.5 - 0.5 tanh(sqrt(2 / pi) (z + 0.044715 z**3))."""
    return _logistic(math.sqrt(8.0 / math.pi) * (z + 0.044715 * z**3))


GATES: Mapping[str, Gate] = {
    "gelu": Gate(_normal, 5.3, 3),
    "gelu_tanh": Gate(_nearly_normal, 5.3, 3),
    "silu": Gate(_logistic, 16.0, 4),
}
"""Kind of a unary epilogue step → its gate."""


def _operator(kind: str) -> Op:
    """The operator (float32 x, float32 portable) → float32 that stands for a gate, in TVM's registry."""
    name = f"shiftc.{kind}"
    register_op_attr(name, "TVectorizable", True)
    register_op_attr(name, "TCallEffectKind", _PURE)
    register_op_attr(name, "TScriptPrinterName", name)
    operator: Op = Op.get(name)
    return operator


_OPERATORS = {kind: _operator(kind) for kind in GATES}
_KINDS = {operator.name: kind for kind, operator in _OPERATORS.items()}


def gated(kind: str, x: Expr, portable: Expr) -> Expr:
    """x times the gate `kind`; `portable` is the same. x: a float32 variable, as it may be used twice."""
    return Call(_OPERATORS[kind], [x, portable], ret_ty="float32")


def kind_of(call: Call) -> str | None:
    """Which gate a call stands for; None if it is another call."""
    return _KINDS.get(getattr(call.op, "name", ""))
