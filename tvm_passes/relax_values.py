"""Reading shapes, dtypes and constants off Relax expressions."""

from __future__ import annotations

from typing import cast

import tvm

from .array import Array


def shape_of(expr: tvm.ir.Expr) -> tuple[int, ...]:
    """Static shape of a tensor expression. Raises ValueError where a dimension is not a constant."""
    shape = expr.ty.shape
    if shape is None:
        raise ValueError(f"{expr} has no static shape")
    return tuple(int(d) for d in shape)


def dtype_of(expr: tvm.ir.Expr) -> str:
    """The element type's name, such as `float32`."""
    return str(expr.ty.dtype)


def constant_of(expr: tvm.ir.Expr) -> Array | None:
    """The array of a constant tensor, None for anything else."""
    if isinstance(expr, tvm.ir.GenericConst):
        return cast(Array, expr.value.numpy())
    return None


def scalar_of(expr: tvm.ir.Expr) -> float | None:
    """The number a constant of one element (or a prim value) holds, None for anything else."""
    array = constant_of(expr)
    if array is not None:
        return float(array.reshape(-1)[0]) if array.size == 1 else None
    value = getattr(expr, "value", None)
    value = getattr(value, "value", value)
    return float(value) if isinstance(value, (int, float)) else None
