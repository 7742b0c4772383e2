"""Sorting: which elements come first, equal ones in the order they stand in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.shapes import around, extents, local, sequential

Expr = Any
Tensor = Any
Before = Callable[[Expr, Expr], Expr]


def sort_indices(order: Any, spare: Any, count: int, before: Before) -> None:
    """Emit code that fills `order[0:count]` with the numbers below `count`, sorted.

    spare:  another buffer of int32 [count].
    before: whether one number has to come before another that stands in front of it.
    """
    cursor = local((2,), "int32")
    width, source, target = 1, order, spare
    with T.serial(0, count) as i:
        order[i] = tirx.Cast("int32", i)
    while width < count:
        _merge_runs(source, target, cursor, count, width, before)
        width, source, target = 2 * width, target, source
    if source is not order:
        with T.serial(0, count) as i:
            order[i] = spare[i]


def _merge_runs(source: Any, target: Any, cursor: Any, count: int, width: int, before: Before) -> None:
    """Each two sorted runs of `width` numbers become one."""
    with T.serial(0, -(-count // (2 * width))) as pair:
        start = tirx.Cast("int32", pair) * (2 * width)
        middle, end = (tirx.min(start + part * width, tirx.const(count, "int32")) for part in (1, 2))
        cursor[0] = start
        cursor[1] = middle
        with T.serial(0, end - start) as step:
            left, right = cursor[0], cursor[1]
            with T.If(
                tirx.all(right < end, tirx.any(left >= middle, _safe(before, source, left, right, count)))
            ):
                with T.Then():
                    target[start + step] = source[right]
                    cursor[1] = right + 1
                with T.Else():
                    target[start + step] = source[left]
                    cursor[0] = left + 1


def _safe(before: Before, source: Any, left: Expr, right: Expr, count: int) -> Expr:
    """Whether the right one comes first; both are read only where they are."""
    last = tirx.const(count - 1, "int32")
    return before(source[tirx.min(right, last)], source[tirx.min(left, last)])


def top(data: Tensor, axis: int, count: int, largest: bool) -> Any:
    """The `count` largest or smallest elements along an axis in order, and their int64 indices."""
    shape = extents(data)
    outer, size, inner = around(shape, axis)
    result = (*shape[:axis], count, *shape[axis + 1 :])

    kept = count if count * count <= size else size

    def emit(source: Any, values: Any, indices: Any) -> None:
        order, spare = local((max(kept, 1),), "int32"), local((max(kept, 1),), "int32")
        with T.serial(0, outer) as i, T.serial(0, inner) as k:

            def key(number: Expr) -> Expr:
                return source[(i * size + number) * inner + k]

            def before(one: Expr, other: Expr) -> Expr:
                return key(one) > key(other) if largest else key(one) < key(other)

            if kept == count:
                _keep_first(order, count, size, before)
            else:
                sort_indices(order, spare, size, before)
            with T.serial(0, count) as rank:
                at = (i * count + rank) * inner + k
                values[at] = key(order[rank])
                indices[at] = tirx.Cast("int64", order[rank])

    return sequential("top", [data], [(result, str(data.dtype)), (result, "int64")], emit)


def _keep_first(order: Any, count: int, size: int, before: Before) -> None:
    """The first `count` of `size` numbers in order: each is compared with the last that is kept."""
    place = local((1,), "int32")
    moves = local((1,), "bool")
    with T.serial(0, size) as i:
        number = tirx.Cast("int32", i)
        place[0] = tirx.min(number, tirx.const(count, "int32"))
        moves[0] = tirx.const(1, "bool")
        with T.While(moves[0]):
            moves[0] = tirx.const(0, "bool")
            with T.If(place[0] > 0), T.Then(), T.If(before(number, order[place[0] - 1])), T.Then():
                with T.If(place[0] < count), T.Then():
                    order[place[0]] = order[place[0] - 1]
                place[0] = place[0] - 1
                moves[0] = tirx.const(1, "bool")
        with T.If(place[0] < count), T.Then():
            order[place[0]] = number
