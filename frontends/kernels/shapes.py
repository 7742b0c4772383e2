"""What kernels are written with: static shapes, elements by their number in row-major order, and kernels of
statements in an order of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import te, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

Expr = Any
_ON_STACK = 2


def extents(tensor: Any) -> tuple[int, ...]:
    """A tensor's shape, which is static."""
    return tuple(int(extent) for extent in tensor.shape)


def product(sizes: Sequence[int]) -> int:
    """How many elements a shape has."""
    return math.prod(sizes)


def linear(at: Sequence[Expr], shape: Sequence[int]) -> Expr:
    """The number of the element at these coordinates."""
    number: Expr = 0
    for coordinate, extent in zip(at, shape, strict=True):
        number = number * extent + coordinate
    return number


def unravel(number: Expr, shape: Sequence[int]) -> list[Expr]:
    """The coordinates of an element."""
    coordinates: list[Expr] = []
    for extent in reversed(shape):
        coordinates.insert(0, number % extent)
        number = number // extent
    return coordinates


def around(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    """How many elements there are before, along and behind an axis."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def local(shape: Sequence[int], dtype: str) -> Any:
    """Emit memory of the kernel's own; a few numbers lie on the stack."""
    scope = "local" if math.prod(shape) <= _ON_STACK else "global"
    return T.buffer_proxy(T.alloc_buffer(tuple(shape), dtype, scope=scope))


def sequential(
    name: str,
    inputs: Sequence[Any],
    results: Sequence[tuple[Sequence[int], str]],
    emit: Callable[..., None],
) -> Any:
    """A kernel whose statements `emit(*inputs, *results)` writes, run in their order by one thread.

    results: shape and type of each. Returns the result, or a list of several.
    """

    def body(ins: Sequence[Any], outs: Sequence[Any]) -> Any:
        with IRBuilder() as builder, T.serial(0, 1):
            emit(*(T.buffer_proxy(buffer) for buffer in (*ins, *outs)))
        return builder.get()

    # Buffers that TVM would make up begin at an offset of their own.
    read = [tirx.decl_buffer(i.shape, str(i.dtype), f"in{n}", layout=None) for n, i in enumerate(inputs)]
    written = [tirx.decl_buffer(tuple(r[0]), r[1], f"out{n}", layout=None) for n, r in enumerate(results)]
    return te.extern(
        [tuple(shape) for shape, _ in results],
        list(inputs),
        body,
        name=name,
        dtype=[dtype for _, dtype in results],
        in_buffers=read,
        out_buffers=written,
    )
