"""What a kernel keeps in registers: vectors, and single numbers.

They are allocated where they are asked for, and flat. TVM would find out where vectors of a whole block are
used, and how their two indices make one address, by analysing every access to any memory in their scope: for
kernels of long straight lines of code that takes longer than all that LLVM does.
"""

from __future__ import annotations

from typing import Any

from tvm.tirx.script import builder as T

Expr = Any


class Vectors:
    """`count` vectors of `lanes` float32: `vectors[i, v]` is lane v of vector i."""

    def __init__(self, count: int, lanes: int) -> None:
        self.count, self.lanes = count, lanes
        self._flat = numbers(count * lanes)

    def __getitem__(self, at: tuple[Expr, Expr]) -> Expr:
        index, lane = at
        return self._flat[index * self.lanes + lane]

    def store(self, index: Expr, lane: Expr, value: Expr) -> None:
        """`vectors[index, lane] = value`."""
        T.buffer_store(self._flat, value, [index * self.lanes + lane])


def numbers(count: int) -> Any:
    """A buffer of `count` float32."""
    return T.alloc_buffer((count,), "float32", scope="local")
