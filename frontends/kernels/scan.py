"""Sums and products of all elements up to each one along an axis."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.shapes import around, extents, local, sequential

Tensor = Any


def cumulative(data: Tensor, axis: int, product: bool, exclusive: bool, reverse: bool) -> Tensor:
    """The sum, or `product`, of the elements up to each one; `exclusive`: of those before it; `reverse`: of
    those behind it. Numbers of 16 bits are summed in float32."""
    outer, size, inner = around(extents(data), axis)
    dtype = str(data.dtype)
    summed = "float32" if dtype in ("float16", "bfloat16") else dtype

    def emit(source: Any, result: Any) -> None:
        total, value = local((1,), summed), local((1,), summed)
        with T.serial(0, outer) as i, T.serial(0, inner) as k:
            total[0] = tirx.const(int(product), summed)
            with T.serial(0, size) as step:
                at = (i * size + (size - 1 - step if reverse else step)) * inner + k
                value[0] = source[at].astype(summed)
                if exclusive:
                    result[at] = total[0].astype(dtype)
                total[0] = total[0] * value[0] if product else total[0] + value[0]
                if not exclusive:
                    result[at] = total[0].astype(dtype)

    return sequential("scan", [data], [(extents(data), dtype)], emit)
