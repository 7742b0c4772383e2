"""Elements chosen by numbers in another tensor: one-hot rows, reversed sequences, triangles."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from frontends.kernels.shapes import extents

Expr = Any
Tensor = Any


def one_hot(indices: Tensor, values: Tensor, classes: int, axis: int) -> Tensor:
    """`values[1]` where the coordinate along the new `axis` is the index, `values[0]` elsewhere; negative
    indices count from the last class."""
    shape = extents(indices)

    def element(*at: Expr) -> Expr:
        index = indices(*at[:axis], *at[axis + 1 :]).astype("int64")
        number = tirx.Cast("int64", at[axis])
        return tirx.Select(tirx.any(index == number, index + classes == number), values[1], values[0])

    return te.compute((*shape[:axis], classes, *shape[axis:]), element, name="one_hot")


def reverse_sequence(data: Tensor, lengths: Tensor, time: int, batch: int) -> Tensor:
    """The first `lengths[b]` elements along `time` of each `b` along `batch` in reverse."""
    size = extents(data)[time]

    def element(*at: Expr) -> Expr:
        step = tirx.Cast("int64", at[time])
        none, all_of_them = (tirx.const(bound, "int64") for bound in (0, size))
        length = tirx.max(tirx.min(lengths[at[batch]], all_of_them), none)
        mirrored = tirx.Select(step < length, length - 1 - step, step)
        return data(*at[:time], mirrored, *at[time + 1 :])

    return te.compute(extents(data), element, name="reverse_sequence")


def triangle(data: Tensor, diagonal: Tensor, upper: bool) -> Tensor:
    """Matrices of the last two axes, with zeros below, or above, the diagonal of number `diagonal[0]`."""

    def element(*at: Expr) -> Expr:
        number = tirx.Cast("int64", at[-1]) - tirx.Cast("int64", at[-2])
        kept = number >= diagonal[0] if upper else number <= diagonal[0]
        return tirx.Select(kept, data(*at), tirx.const(0, str(data.dtype)))

    return te.compute(extents(data), element, name="triangle")
