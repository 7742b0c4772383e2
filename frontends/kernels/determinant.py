"""Determinants, by elimination."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.shapes import extents, local, sequential

Expr = Any
Tensor = Any

_EXACT = "float64"


def determinant(data: Tensor) -> Tensor:
    """[matrices] of `data` [matrices, n, n], n ≥ 1, by Gaussian elimination in float64; of each column the
    largest element that is left is the pivot."""
    matrices, n, _ = extents(data)
    dtype = str(data.dtype)
    zero = tirx.const(0, _EXACT)

    def emit(source: Any, result: Any) -> None:
        left = local((n * n,), _EXACT)
        value, kept = local((1,), _EXACT), local((1,), _EXACT)
        pivot = local((1,), "int32")

        def choose(step: Expr) -> None:
            """The row of the pivot into `pivot`."""
            pivot[0] = step
            with T.serial(step, n) as row:
                larger = tirx.abs(left[row * n + step]) > tirx.abs(left[pivot[0] * n + step])
                with T.If(larger), T.Then():
                    pivot[0] = row

        def exchange(step: Expr) -> None:
            """The pivot's row in place of the step's, which turns the sign."""
            with T.If(pivot[0] != step), T.Then():
                value[0] = zero - value[0]
                with T.serial(step, n) as column:
                    kept[0] = left[step * n + column]
                    left[step * n + column] = left[pivot[0] * n + column]
                    left[pivot[0] * n + column] = kept[0]

        def eliminate(step: Expr) -> None:
            """Zeros below the pivot, which nobody reads again and which are not written."""
            diagonal = left[step * n + step]
            with T.If(diagonal != zero), T.Then(), T.serial(step + 1, n) as row:
                kept[0] = left[row * n + step] / diagonal
                with T.serial(step + 1, n) as column:
                    at = row * n + column
                    left[at] = left[at] - kept[0] * left[step * n + column]

        with T.serial(0, matrices) as matrix:
            value[0] = tirx.const(1, _EXACT)
            with T.serial(0, n * n) as i:
                left[i] = tirx.Cast(_EXACT, source[matrix * n * n + i])
            with T.serial(0, n) as step:
                choose(step)
                exchange(step)
                value[0] = value[0] * left[step * n + step]
                eliminate(step)
            result[matrix] = tirx.Cast(dtype, value[0])

    return sequential("determinant", [data], [((matrices,), dtype)], emit)
