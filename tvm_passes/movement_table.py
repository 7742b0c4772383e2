"""The table of movement-only Relax operators: each as a numpy function of the tensors it moves.

Every entry of `MOVES` takes (call, type of the result, constant), where `constant` gives the array of a
constant operand or raises NotMovementError, and returns the operands that are moved and the function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tvm.ir import Call, Expr, Tuple
from tvm.tirx import IntImm

from .array import Array
from .movement_tir import NotMovementError

Constant = Callable[[Expr], Array]
Apply = Callable[[Sequence[Any]], Any]
Plan = tuple[Sequence[Expr], Apply]
Planner = Callable[[Call, Any, Constant], Plan]

MOVES: dict[str, Planner] = {}


def moves(*names: str) -> Callable[[Planner], Planner]:
    """Enter a planner into the table under these operators."""

    def register(planner: Planner) -> Planner:
        MOVES.update((name, planner) for name in names)
        return planner

    return register


def ints(values: Any) -> list[int]:
    """A tuple of prim values, or an array of integers, as Python integers."""
    fields = values.fields if isinstance(values, Tuple) else values
    return [int(getattr(v, "value", v)) for v in fields]


def static_shape(ty: Any) -> tuple[int, ...]:
    """The shape of a tensor type; NotMovementError where it is not known."""
    if ty.shape is None or not all(isinstance(d, IntImm) for d in ty.shape):
        raise NotMovementError("its shape is known at run time only")
    return tuple(int(d) for d in ty.shape)
