"""Selections whose number of rows depends on data: rows in front, their number beside, zeros behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.order import sort_indices
from frontends.kernels.shapes import around, extents, local, product, sequential, unravel

Expr = Any
Tensor = Any
_COUNT = ((1,), "int64")


def nonzero(data: Tensor) -> Any:
    """Coordinates of elements that are not zero, int64 [rank, at most all], and their number, int64 [1]."""
    shape = extents(data)
    count, rank = product(shape), max(len(shape), 1)

    def emit(source: Any, result: Any, found: Any) -> None:
        _clear(result, rank * count)
        found[0] = tirx.const(0, "int64")
        with T.serial(0, count) as i, T.If(_is_true(source[i], str(data.dtype))), T.Then():
            for axis, coordinate in enumerate(unravel(i, shape) or [i]):
                result[axis * count + found[0]] = tirx.Cast("int64", coordinate)
            found[0] = found[0] + 1

    return sequential("nonzero", [data], [((rank, count), "int64"), _COUNT], emit)


def compress(data: Tensor, condition: Tensor, axis: int) -> Any:
    """Slices of `data` along `axis` where `condition`, maybe shorter, is true; their number, int64 [1]."""
    outer, size, inner = around(extents(data), axis)
    tested = min(size, extents(condition)[0])
    shape = (*extents(data)[:axis], tested, *extents(data)[axis + 1 :])

    def emit(source: Any, wanted: Any, result: Any, found: Any) -> None:
        _clear(result, product(shape), str(data.dtype))
        found[0] = tirx.const(0, "int64")
        with T.serial(0, tested) as i, T.If(wanted[i]), T.Then():
            with T.serial(0, outer) as o, T.serial(0, inner) as k:
                result[(o * tested + found[0]) * inner + k] = source[(o * size + i) * inner + k]
            found[0] = found[0] + 1

    return sequential("compress", [data, condition], [(shape, str(data.dtype)), _COUNT], emit)


def unique(data: Tensor, axis: int, ordered: bool) -> Any:
    """Different slices along `axis`: the slices, the index of the first of each, which one every slice is,
    how often each occurs, and their number, int64 [1]. In ascending order, or as they first occur."""
    shape = extents(data)
    outer, size, inner = around(shape, axis)
    row = outer * inner

    def emit(source: Any, result: Any, first: Any, which: Any, times: Any, found: Any) -> None:
        order, spare, kept = (local((max(size, 1),), "int32") for _ in range(3))
        at = local((1,), "int32")

        def element(number: Expr, position: Expr) -> Expr:
            return source[(position // inner * size + number) * inner + position % inner]

        def differing(one: Expr, other: Expr) -> None:
            """Sets `at` to the first position where two slices differ, or to the number of positions."""
            at[0] = tirx.const(0, "int32")
            same = tirx.all(at[0] < row, element(one, _upto(at[0], row)) == element(other, _upto(at[0], row)))
            with T.While(same):
                at[0] = at[0] + 1

        def number_slices() -> None:
            """Numbers the runs of equal slices in `order`, each by the first of them."""
            found[0] = tirx.const(0, "int64")
            with T.serial(0, size) as i:
                with T.If(i == 0):
                    with T.Then():
                        at[0] = tirx.const(0, "int32")
                    with T.Else():
                        differing(order[i], order[tirx.max(i - 1, 0)])
                with T.If(tirx.any(i == 0, at[0] < row)), T.Then():
                    kept[found[0]] = order[i]
                    found[0] = found[0] + 1
                which[order[i]] = found[0] - 1

        _clear(result, product(shape), str(data.dtype))
        _clear(first, size)
        _clear(times, size)
        _sort_slices(order, spare, size, row, element)
        number_slices()
        if not ordered:
            _by_first_occurrence(order, spare, kept, which, found, size)
        with T.serial(0, size) as i:
            times[which[i]] = times[which[i]] + 1
        with T.serial(0, tirx.Cast("int32", found[0])) as i:
            first[i] = tirx.Cast("int64", kept[i])
            with T.serial(0, row) as j:
                result[(j // inner * size + i) * inner + j % inner] = element(kept[i], j)

    numbers = ((size,), "int64")
    return sequential("unique", [data], [(shape, str(data.dtype)), numbers, numbers, numbers, _COUNT], emit)


def _sort_slices(order: Any, spare: Any, size: int, row: int, element: Callable[[Expr, Expr], Expr]) -> None:
    """Slices in ascending order, by their elements from the first to the last: a stable sort for each
    position, the last one first."""
    temporary = local((max(size, 1),), "int32")
    result = local((max(size, 1),), "int32")
    with T.serial(0, size) as i:
        order[i] = tirx.Cast("int32", i)
    with T.serial(0, row) as back:
        position = row - 1 - back
        sort_indices(
            temporary,
            spare,
            size,
            lambda one, other: element(order[one], position) < element(order[other], position),
        )
        with T.serial(0, size) as i:
            result[i] = order[temporary[i]]
        with T.serial(0, size) as i:
            order[i] = result[i]


def _by_first_occurrence(order: Any, spare: Any, kept: Any, which: Any, found: Any, size: int) -> None:
    """Renumber the different slices in the order in which they first occur."""
    with T.serial(0, size) as i:
        spare[i] = tirx.const(-1, "int32")
    found[0] = tirx.const(0, "int64")
    with T.serial(0, size) as i:
        with T.If(spare[which[i]] < 0), T.Then():
            spare[which[i]] = tirx.Cast("int32", found[0])
            order[found[0]] = tirx.Cast("int32", i)
            found[0] = found[0] + 1
        which[i] = tirx.Cast("int64", spare[which[i]])
    with T.serial(0, size) as i:
        kept[i] = order[i]


def _is_true(value: Expr, dtype: str) -> Expr:
    """Whatever is not zero, NaN too, of which TVM's comparison says it is not unequal to zero."""
    if dtype == "bool":
        return value
    if "float" not in dtype:
        return value != tirx.const(0, dtype)
    wide = value if dtype == "float64" else value.astype("float32")
    return tirx.any(wide != tirx.const(0, str(wide.ty.dtype)), tirx.isnan(wide))


def _upto(position: Expr, count: int) -> Expr:
    return tirx.min(position, tirx.const(max(count - 1, 0), "int32"))


def _clear(buffer: Any, count: int, dtype: str = "int64") -> None:
    with T.serial(0, count) as i:
        buffer[i] = tirx.const(0, dtype)
