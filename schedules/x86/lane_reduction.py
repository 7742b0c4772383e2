"""What the normalizations share: vectors of running sums, and what comes of their lanes.

A channel lies in a lane, so a sum over channels is a sum of vectors and, in the end, of one vector's lanes.
Sums are kept in several vectors, since each addition to the same one would wait for the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm.tirx.script import builder as T

from schedules.activation import constant
from schedules.x86.registers import Vectors

Expr = Any
Loop = Any


def reduce_lanes(combine: Callable[[Expr, Expr], Expr], vectors: Vectors, index: Expr) -> Expr:
    """`combine` over the lanes of `vectors[index]`, halving it in place; they are a power of two."""
    half = vectors.lanes // 2
    while half:
        with T.vectorized(half) as v:
            vectors.store(index, v, combine(vectors[index, v], vectors[index, v + half]))
        half //= 2
    return vectors[index, 0]


def reduce_vectors(combine: Callable[[Expr, Expr], Expr], vectors: Vectors) -> None:
    """`vectors[0] = combine(vectors[0], ..., vectors[count - 1])`, lane by lane."""
    for index in range(1, vectors.count):
        with T.vectorized(vectors.lanes) as v:
            vectors.store(0, v, combine(vectors[0, v], vectors[index, v]))


def fill(vectors: Vectors, value: float = 0.0) -> None:
    """Every lane starts from `value`."""
    with T.unroll(vectors.count) as i, T.vectorized(vectors.lanes) as v:
        vectors.store(i, v, constant(value))


def add(left: Expr, right: Expr) -> Expr:
    """The sum, as a function."""
    return left + right


def outer_loop(extent: int, parallel: bool) -> Loop:
    """A loop whose iterations share nothing."""
    return T.parallel(extent) if parallel else T.serial(extent)
