"""Which operators only move data, and what they do to an array.

`Mover.plan(node)` is the operator as a numpy function of the tensors it moves. Run on data it is the
operator; run on a tensor of coordinates it says where every element comes from (0: it is zero).
An operator that does more, or whose indices are known at run time only, raises NotMovementError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import tvm
from tvm.ir import Call, Expr, GenericConst, TupleGetItem, Var

from . import movement_by_index, movement_by_shape  # noqa: F401  (they fill the table)
from .array import Array
from .graph import Graph, Node
from .movement_table import MOVES, static_shape
from .movement_tir import NotMovementError, run_prim_func

Result = Array | list[Array]

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "relax.add": np.add, "relax.subtract": np.subtract, "relax.multiply": np.multiply,
    "relax.floor_divide": np.floor_divide, "relax.mod": np.mod, "relax.floor_mod": np.mod,
    "relax.less": np.less, "relax.less_equal": np.less_equal, "relax.greater": np.greater,
    "relax.greater_equal": np.greater_equal, "relax.equal": np.equal, "relax.not_equal": np.not_equal,
    "relax.maximum": np.maximum, "relax.minimum": np.minimum, "relax.negative": np.negative,
    "relax.where": np.where, "relax.astype": np.asarray,
}  # fmt: skip
"""What indices are computed with in exported graphs, such as making negative ones positive."""


@attrs.frozen
class Movement:
    """`result = apply(values of operands)`; operands are variables, or constants that are zero."""

    operands: tuple[Expr, ...]
    apply: Callable[[Sequence[Any]], Result]


class Mover:
    """Plans the movement-only nodes of one graph; knows the graph's integer constants."""

    def __init__(self, mod: tvm.IRModule, graph: Graph) -> None:
        self._mod = mod
        self._constants: dict[Var, Array] = {}
        self._movable: set[Var] = set()
        for node in graph.nodes:
            value = self._fold(node)
            if value is not None:
                self._constants[node.var] = value

    def constant(self, expr: Expr) -> Array:
        """The value of a constant, or of integer arithmetic on constants; NotMovementError otherwise."""
        value = self._known(expr)
        if value is None:
            raise NotMovementError("its indices are computed at run time")
        return value

    def is_constant(self, var: Var) -> bool:
        """True for integer arithmetic on constants: no data, whatever operator it is."""
        return var in self._constants

    def plan(self, node: Node) -> Movement:
        """What the node does to the tensors it moves. Raises NotMovementError, with the reason."""
        movement = self._plan(node)
        for operand in movement.operands:
            value = self._known(operand)
            if value is not None and value.any():
                raise NotMovementError("moves a constant that is not zero")
        self._movable.add(node.var)
        return movement

    def _plan(self, node: Node) -> Movement:
        call = node.call
        if isinstance(call, TupleGetItem):
            if call.tuple_value not in self._movable:
                raise NotMovementError("takes one of several results")
            index = int(call.index)
            return Movement((call.tuple_value,), lambda values: values[0][index])
        if not isinstance(call, Call):
            raise NotMovementError(f"{node.op} is no operator on tensors")
        if node.op.startswith("call_tir:"):
            return self._plan_tir(node)
        if node.op not in MOVES:
            raise NotMovementError(f"{node.op} computes")
        operands, apply = MOVES[node.op](call, node.var.ty, self.constant)
        return Movement(tuple(operands), apply)

    def _plan_tir(self, node: Node) -> Movement:
        if isinstance(node.var.ty, tvm.ir.TupleType):
            raise NotMovementError("has several results")
        function = self._mod[node.call.args[0]]
        shape = static_shape(node.var.ty)
        operands = tuple(node.args)

        def apply(values: Sequence[Any]) -> Array:
            return run_prim_func(function, values, shape)

        if len(function.params) != len(operands) + 1 or any(
            not isinstance(o, Var | GenericConst) for o in operands
        ):
            raise NotMovementError("takes parameters of its own")
        # on arrays of zeros: cheap to know now that the body only copies
        apply([np.broadcast_to(np.int32(0), [int(d) for d in o.ty.shape]) for o in operands])
        return Movement(operands, apply)

    def _known(self, expr: Expr) -> Array | None:
        if isinstance(expr, GenericConst):
            return np.asarray(expr.value.numpy())
        return self._constants.get(expr) if isinstance(expr, Var) else None

    def _fold(self, node: Node) -> Array | None:
        """The value of a node that is arithmetic on integer constants, such as indices made positive."""
        if node.op == "relax.shape_of":
            return np.array([int(d) for d in node.args[0].ty.shape], np.int64)
        dtype = str(getattr(node.var.ty, "dtype", ""))
        if not isinstance(node.call, Call) or not ("int" in dtype or "bool" in dtype):
            return None
        values = [self._known(arg) for arg in node.args if isinstance(arg, Var | GenericConst)]
        if not values or any(value is None for value in values):
            return None
        if node.op in ARITHMETIC:
            return np.asarray(ARITHMETIC[node.op](*values), dtype)
        if node.op not in MOVES:
            return None
        try:
            operands, apply = MOVES[node.op](node.call, node.var.ty, self.constant)
            moved = apply([self.constant(operand) for operand in operands])
        except NotMovementError:
            return None
        return None if isinstance(moved, list) else moved
