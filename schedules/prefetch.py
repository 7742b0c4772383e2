"""Software prefetches: what a loop will read later is fetched while it computes.

A processor's own prefetchers follow streams. A reduction over channel blocks reads a few lines of every
plane and returns to each plane only with its next tile: nothing to follow, so every line that lies beyond
the second cache would be waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm import tirx

Expr = Any
Statement = Any

_READ, _SECOND_CACHE, _DATA = 0, 2, 1
"""Operands of LLVM's prefetch intrinsic: for reading, into the second cache, data."""


def fetch(buffer: Any, index: Expr) -> Expr:
    """The call that fetches the cache line of an element; a line that does not exist does no harm."""
    flags = [tirx.IntImm("int32", flag) for flag in (_READ, _SECOND_CACHE, _DATA)]
    return tirx.call_llvm_intrin("void", "llvm.prefetch", tirx.address_of(buffer[index]), *flags)


def prefetch_if(condition: Expr, buffer: Any, indices: Sequence[Expr]) -> Statement:
    """Fetch the cache lines of elements, under a condition.

    The condition does more than save fetches: it gives them a basic block of their own. LLVM moves no load
    across a prefetch, which in the midst of arithmetic costs it its order, and registers.
    """
    statements = [tirx.Evaluate(fetch(buffer, index)) for index in indices]
    return tirx.IfThenElse(condition, tirx.SeqStmt(statements) if statements[1:] else statements[0], None)


def begin_with(func: tirx.PrimFunc, loop_var: Any, statement: Statement) -> tirx.PrimFunc:
    """`func` with a statement at the beginning of every iteration of the loop over `loop_var`."""

    def extend(loop: tirx.For) -> tirx.For:
        if not loop.loop_var.same_as(loop_var):
            return loop
        body = tirx.SeqStmt([statement, loop.body])
        return tirx.For(
            loop.loop_var, loop.min, loop.extent, loop.kind, body, loop.thread_binding, loop.annotations
        )

    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.For, extend), order="post"))
