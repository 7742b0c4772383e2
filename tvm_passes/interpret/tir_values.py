"""Expressions of TIR on numpy arrays: for all iterations at once, loop variables being open grids."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm.ir import Call, TensorLoad, Var
from tvm.ir.prim import expr as prim

from schedules.reference import erf

from ..array import Array
from .errors import ProgramError, Where

Environment = dict[Any, Any]
Buffers = dict[Any, Array]


class UnknownError(Exception):
    """Something that is not evaluated here; the message names it."""


def _truncated(a: Array, b: Array) -> Array:
    """The quotient towards zero, as C divides integers."""
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient).astype(np.result_type(a, b))


def _divided(a: Array, b: Array) -> Array:
    return np.true_divide(a, b) if np.result_type(a, b).kind not in "iub" else _truncated(a, b)


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    prim.Add: np.add, prim.Sub: np.subtract, prim.Mul: np.multiply, prim.Div: _divided, prim.Mod: np.fmod,
    prim.FloorDiv: np.floor_divide, prim.FloorMod: np.mod, prim.Min: np.minimum, prim.Max: np.maximum,
    prim.EQ: operator.eq, prim.NE: operator.ne, prim.LT: operator.lt, prim.LE: operator.le,
    prim.GT: operator.gt, prim.GE: operator.ge, prim.And: np.logical_and, prim.Or: np.logical_or,
    prim.LShift: np.left_shift, prim.RShift: np.right_shift, prim.BitwiseAnd: np.bitwise_and,
    prim.BitwiseOr: np.bitwise_or, prim.BitwiseXor: np.bitwise_xor,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in (
        "exp", "exp2", "log", "log2", "log10", "log1p", "sqrt", "tanh", "sinh", "cosh", "sin", "cos", "tan",
        "floor", "ceil", "trunc", "fabs", "isnan", "isinf", "isfinite", "fmod", "hypot", "copysign",
        "nextafter", "ldexp", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not",
    )},
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "pow": np.power, "erf": erf, "nearbyint": np.rint,
    "rsqrt": lambda x: 1 / np.sqrt(x), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "shift_left": np.left_shift, "shift_right": np.right_shift, "likely": lambda x: x,
    "round": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),
}  # fmt: skip


class Values:
    """Evaluates expressions over some buffers.

    A load outside of its buffer is an error, unless it is in the branch of an `if_then_else` that is not
    taken.
    """

    def __init__(self, buffers: Buffers, where: Where) -> None:
        self.buffers, self.where = buffers, where
        self._taken: Any = True

    def of(self, expr: Any, env: Environment) -> Any:
        """The value of an expression. Raises UnknownError, or ProgramError for a load out of bounds."""
        if isinstance(expr, prim.IntImm | prim.FloatImm):
            return np.dtype(dtype_of(expr)).type(expr.value)
        if isinstance(expr, Var):
            return self._variable(expr, env)
        if isinstance(expr, TensorLoad):
            return self._load(expr, env)
        function = _BINARY.get(type(expr))
        if function is not None:
            return function(self.of(expr.a, env), self.of(expr.b, env))
        if isinstance(expr, prim.Cast):
            return np.asarray(self.of(expr.value, env)).astype(dtype_of(expr))
        if isinstance(expr, prim.Not):
            return np.logical_not(self.of(expr.a, env))
        if isinstance(expr, prim.BitwiseNot):
            return np.bitwise_not(self.of(expr.a, env))
        if isinstance(expr, prim.Select):
            parts = (expr.condition, expr.true_value, expr.false_value)
            return np.where(*(self.of(part, env) for part in parts))
        if isinstance(expr, prim.Let):
            return self.of(expr.body, {**env, expr.var: self.of(expr.value, env)})
        if isinstance(expr, Call):
            return self._call(expr, env)
        raise UnknownError(type(expr).__name__)

    def index(self, buffer: Any, indices: Any, env: Environment) -> tuple[Array, ...]:
        """Where in a buffer; what lies outside is moved inside if nobody takes it, else an error."""
        shape = self.buffers[buffer].shape
        at = [np.asarray(self.of(index, env)) for index in indices]
        outside = [(index < 0) | (index >= size) for index, size in zip(at, shape, strict=True)]
        if not any(o.any() for o in outside):
            return tuple(at)
        for number, wrong in enumerate(outside):
            if (wrong & self._taken).any():
                raise ProgramError(
                    self.where, f"reads {buffer.name} beyond its {shape[number]} elements along axis {number}"
                )
        return tuple(index.clip(0, size - 1) for index, size in zip(at, shape, strict=True))

    def _variable(self, variable: Any, env: Environment) -> Any:
        if variable not in env:
            raise UnknownError(f"the variable {variable.name}")
        return env[variable]

    def _load(self, load: Any, env: Environment) -> Any:
        if load.source not in self.buffers:
            raise UnknownError(f"the buffer {load.source.name}")
        return self.buffers[load.source][self.index(load.source, load.indices, env)]

    def _call(self, call: Any, env: Environment) -> Any:
        name = getattr(call.op, "name", "").split(".")[-1]
        if name == "if_then_else":
            return self._choice(call.args, env)
        if name not in _FUNCTIONS:
            raise UnknownError(name or "a call")
        value = _FUNCTIONS[name](*(self.of(argument, env) for argument in call.args))
        return np.asarray(value).astype(dtype_of(call))

    def _choice(self, arguments: Any, env: Environment) -> Any:
        condition = np.asarray(self.of(arguments[0], env))
        before = self._taken
        try:
            self._taken = before & condition
            yes = self.of(arguments[1], env)
            self._taken = before & ~condition
            no = self.of(arguments[2], env)
        finally:
            self._taken = before
        return np.where(condition, yes, no)


def dtype_of(expr: Any) -> str:
    """The element type of an expression, as numpy calls it."""
    name = str(expr.ty.dtype)
    try:
        np.dtype(name)
    except TypeError:
        raise UnknownError(f"the type {name}") from None
    return name
