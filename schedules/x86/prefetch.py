"""Fetches the next tile's inputs while this one is computed.

The hardware's prefetchers follow a few streams of neighbouring lines. A tile of an indexed convolution
touches a line for every pixel and channel block, each wherever the tables say, so an input that lies
beyond the second cache would be waited for line by line. The loop over the reduction therefore asks for
the addresses `ct[c] + pt[pixels of the next tile]`; the arithmetic hides them.
"""

from __future__ import annotations

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlockRealize, Schedule

from schedules.emit import Buffers, address

_ANNOTATION = "shiftc.prefetch"
_READ, _NEAREST, _DATA = 0, 3, 1
"""Arguments of LLVM's prefetch: for reading, into the first cache, of data."""


def mark(schedule: Schedule, loop: Any, pixel_tile: int, period: int) -> None:
    """Ask for prefetches in every `period`-th iteration of `loop`, the outer loop of the reduction.

    A cache line holds neighbouring channels: asking once for each line is enough, and more than that
    costs what it gains.
    """
    schedule.annotate(loop, _ANNOTATION, [pixel_tile, period])


def insert(func: tirx.PrimFunc, buffers: Buffers, pixels: int) -> tirx.PrimFunc:
    """Put the prefetches into marked loops; the last tile asks for the last pixel again."""

    def expand(loop: tirx.For) -> tirx.For:
        if _ANNOTATION not in loop.annotations:
            return loop
        tile, period = (int(value) for value in loop.annotations[_ANNOTATION])
        first_pixel, channel = _start_of(loop)
        requests = []
        for offset in range(tile):
            pixel = tirx.min(first_pixel + (tile + offset), pixels - 1)
            pointer = tirx.address_of(buffers["x"][address(buffers["ct"][channel], buffers["pt"][pixel])])
            request = tirx.call_intrin("void", "tirx.prefetch", pointer, _READ, _NEAREST, _DATA)
            requests.append(tirx.Evaluate(request))
        due = tirx.EQ(tirx.floormod(loop.loop_var, period), 0)
        body = tirx.SeqStmt([tirx.IfThenElse(due, tirx.SeqStmt(requests), None), loop.body])
        return tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body)

    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.For, expand), order="post"))


def _start_of(loop: tirx.For) -> tuple[Any, Any]:
    """Pixel and channel at which an iteration of the loop begins."""
    inner: list[Any] = []
    found: list[Any] = []
    callbacks = (
        (tirx.For, lambda node: inner.append(node.loop_var)),
        (SBlockRealize, lambda node: found.append(node.iter_values)),
    )
    tvm_ffi.structural_walk(loop.body, callbacks)
    _, pixel, _, channel = found[0]

    def at_start(expression: Any) -> Any:
        return tvm_ffi.structural_map(expression, (tvm.ir.Var, lambda var: _zero_if_in(var, inner)))

    return at_start(pixel), at_start(channel)


def _zero_if_in(var: Any, variables: list[Any]) -> Any:
    if any(var.same_as(other) for other in variables):
        return tirx.IntImm(str(var.ty.dtype), 0)
    return var
