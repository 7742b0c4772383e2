"""Data movement inside tensor programs: a numpy interpreter of PrimFuncs that only copy elements.

The ONNX importer writes Pad, Tile, Flip and Resize as `call_tir` of a TE function. Each is a loop nest
around one store whose value is a load, a zero, or a choice between them by index; that is interpreted
for all iterations at once, on broadcast index arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tvm
from tvm.ir import Call, Expr, TensorLoad, Var
from tvm.ir.prim import expr as prim
from tvm.s_tir.stmt import SBlockRealize
from tvm.tirx.stmt import BufferStore, For, SeqStmt, Stmt

from .array import Array


class NotMovementError(Exception):
    """An operator that does more than move data; the message says what."""


def _truncated_division(a: Array, b: Array) -> Array:
    truncated: Array = np.trunc(np.divide(a, b))
    return truncated.astype(np.int64)


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    prim.Add: operator.add, prim.Sub: operator.sub, prim.Mul: operator.mul,
    prim.FloorDiv: operator.floordiv, prim.FloorMod: operator.mod,
    prim.Div: _truncated_division, prim.Mod: np.fmod, prim.Min: np.minimum, prim.Max: np.maximum,
    prim.EQ: operator.eq, prim.NE: operator.ne, prim.LT: operator.lt, prim.LE: operator.le,
    prim.GT: operator.gt, prim.GE: operator.ge, prim.And: np.logical_and, prim.Or: np.logical_or,
}  # fmt: skip


def index_value(expr: Expr, env: Mapping[Var, Any]) -> Any:
    """The value of an integer or boolean expression of loop variables; NotMovementError for anything else."""
    if isinstance(expr, prim.IntImm):
        return int(expr.value)
    if isinstance(expr, Var) and expr in env:
        return env[expr]
    function = _BINARY.get(type(expr))
    if function is not None:
        return function(index_value(expr.a, env), index_value(expr.b, env))
    if isinstance(expr, prim.Not):
        return np.logical_not(index_value(expr.a, env))
    if isinstance(expr, prim.Cast) and "int" in str(expr.ty):
        return index_value(expr.value, env)
    choice = _choice(expr)
    if choice is not None:
        condition, yes, no = (index_value(part, env) for part in choice)
        return np.where(condition, yes, no)
    raise NotMovementError(f"computes its index with {type(expr).__name__}")


def _choice(expr: Expr) -> tuple[Expr, Expr, Expr] | None:
    """(condition, value if true, value if false) of a select or if_then_else."""
    if isinstance(expr, prim.Select):
        return expr.condition, expr.true_value, expr.false_value
    if isinstance(expr, Call) and getattr(expr.op, "name", "").endswith("if_then_else"):
        return expr.args[0], expr.args[1], expr.args[2]
    return None


def _data_value(expr: Expr, env: Mapping[Var, Any], buffers: Mapping[Var, Array]) -> Any:
    """The elements that a stored expression copies; NotMovementError where it computes with them."""
    if isinstance(expr, TensorLoad):
        buffer = buffers[expr.source]
        # the branch of a choice that is not taken may be out of bounds
        indices = [
            np.clip(index_value(i, env), 0, extent - 1)
            for i, extent in zip(expr.indices, buffer.shape, strict=True)
        ]
        return buffer[tuple(indices)]
    if isinstance(expr, prim.FloatImm | prim.IntImm):
        if float(expr.value) != 0:
            raise NotMovementError(f"fills in the constant {float(expr.value):g}")
        return 0
    choice = _choice(expr)
    if choice is not None:
        condition, yes, no = choice
        return np.where(index_value(condition, env), _data_value(yes, env, buffers),
                        _data_value(no, env, buffers))  # fmt: skip
    raise NotMovementError(f"computes {type(expr).__name__} of its elements")


def run_prim_func(function: tvm.tirx.PrimFunc, inputs: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """What a PrimFunc (inputs..., one output of `shape`) makes of the arrays, or NotMovementError."""
    *params, result = function.params
    buffers: dict[Var, Array] = dict(zip(params, inputs, strict=True))
    dtype = inputs[0].dtype if inputs else np.dtype(np.int32)
    buffers[result] = np.zeros(shape, dtype)
    _run(function.body, {}, [], buffers, dtype)
    return buffers[result]


def _run(
    stmt: Stmt, env: dict[Var, Any], loops: list[tuple[Var, int]], buffers: dict[Var, Array], dtype: Any
) -> None:
    if isinstance(stmt, For):
        if not (isinstance(stmt.extent, prim.IntImm) and isinstance(stmt.min, prim.IntImm)):
            raise NotMovementError("has loops of unknown length")
        _run(stmt.body, env, [*loops, (stmt.loop_var, int(stmt.extent))], buffers, dtype)
    elif isinstance(stmt, SBlockRealize):
        block = stmt.block
        if block.init is not None:
            raise NotMovementError("reduces")
        for buffer in block.alloc_buffers:
            buffers[buffer] = np.zeros([int(d) for d in buffer.shape], dtype)
        grid: dict[Var, Any] = {
            var: np.arange(extent).reshape([-1 if k == axis else 1 for k in range(len(loops))])
            for axis, (var, extent) in enumerate(loops)
        }
        outer = {**env, **grid}
        bound = {v.var: index_value(e, outer) for v, e in zip(block.iter_vars, stmt.iter_values, strict=True)}
        _run(block.body, {**outer, **bound}, loops, buffers, dtype)
    elif isinstance(stmt, SeqStmt):
        for part in stmt.seq:
            _run(part, env, loops, buffers, dtype)
    elif isinstance(stmt, BufferStore):
        indices = tuple(index_value(i, env) for i in stmt.indices)
        value = _data_value(stmt.value, env, buffers)
        buffers[stmt.buffer][indices] = value
    else:
        raise NotMovementError(f"contains {type(stmt).__name__}")
