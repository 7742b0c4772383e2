"""Building blocks for kernels written with TVM's IR builder: raw pointers, buffers over them, vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

Expr = Any
Buffers = Mapping[str, Any]

UNBOUNDED = 1 << 40
"""Extent of a buffer whose size the kernel does not know: it lies somewhere in an arena.

Beyond int32, so that TVM keeps its addresses in int64 and LLVM folds them into addressing modes.
"""


def emit(parameters: Mapping[str, tuple[str, int]], body: Callable[[Buffers], None]) -> tirx.PrimFunc:
    """A private PrimFunc over raw pointers.

    parameters: name → (dtype, extent); each becomes a pointer argument and a flat buffer over it.
    body:       emits the statements, given the buffers by name.
    """
    with IRBuilder() as builder, T.prim_func(True, s_tir=True):
        T.func_name("main")
        # Outputs never alias inputs (see workload.py), whatever arena they share.
        T.func_attr({"tirx.noalias": True})
        pointers = {name: T.arg(name, T.handle(dtype)) for name, (dtype, _) in parameters.items()}
        with T.sblock("root"):
            buffers = {}
            for name, (dtype, extent) in parameters.items():
                shape = (tirx.IntImm("int64", extent),)
                buffers[name] = T.decl_buffer(shape, dtype, data=pointers[name])
                IRBuilder.name(f"{name}_buffer", buffers[name])
            body(buffers)
    return builder.get()


def address(*terms: Expr) -> Expr:
    """Sum of table entries and indices, in int64."""
    total = tirx.IntImm("int64", 0)
    for term in terms:
        total = total + tirx.Cast("int64", term) if isinstance(term, tvm.ir.Expr) else total + term
    return total


def store_vectors(
    buffer: tirx.Buffer, value: Callable[[int, tirx.Var], tirx.PrimExpr], *within: Expr
) -> None:
    """`buffer[*within, number, lane] = value(number, lane)` for all of its vectors, one after another.

    buffer: (…, count, lanes). There is no loop, so that a local buffer becomes registers.
    """
    count, lanes = (int(extent) for extent in buffer.shape[-2:])
    for number in range(count):
        with T.vectorized(0, lanes) as lane:
            T.buffer_store(buffer, value(number, lane), [*within, number, lane])
