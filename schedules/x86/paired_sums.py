"""The statements of a paired convolution: what its columns of pixels share, and the sums of a panel."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from tvm import tirx
from tvm.tirx.script import builder as T

from schedules import epilogue
from schedules.activation import constant
from schedules.emit import Buffers, Expr, address
from schedules.paired_products import GROUP, HEADER, HIGHEST, LOWEST, NEGATED
from schedules.prefetch import fetch
from schedules.workload import PairedConv
from schedules.x86.lane_reduction import add, fill, reduce_lanes, reduce_vectors
from schedules.x86.registers import Vectors, numbers

_LINES = 16
"""Of weights, that a column fetches at once before its sums."""
_STEPS, _ANY_STEPS = range(5, 11), 7
"""Between two bursts of a column that fetches more. LLVM moves no load across a fetch: a loop that fetches in
each step is slower by a twentieth."""
_PIXELS = 4
"""Of a column of one address, whose sums of x and weights are held at once: few vector registers are left."""
_BOUNDS = 2
"""Vectors of largest values: each waits for the one before of its own."""


@attrs.frozen
class Ahead:
    """While a block's weights are used, those so many `blocks` further are fetched, up to the block `end`."""

    blocks: int
    end: Expr


class Prepared:
    """What is kept of so many columns at most, each of `tile` pixels, while panels sweep over them."""

    def __init__(self, columns: int, tile: int) -> None:
        self.columns, self.tile = columns, tile
        self.products = numbers(columns * tile)
        self.largest = numbers(columns)


class Columns:
    """The statements for `count` columns from the pixel `first` on, of which `prepared` has room for more."""

    def __init__(
        self, workload: PairedConv, buffers: Buffers, first: Expr, count: Expr, prepared: Prepared
    ) -> None:
        self.workload, self.buffers = workload, buffers
        self.first, self.count, self.most, self.tile = first, count, prepared.columns, prepared.tile
        self.rows = HEADER + workload.virtual_channels  # of a block's weights
        self.one_address = workload.has_known_distances(self.tile)
        self.products, self.largest = prepared.products, prepared.largest

    def prepare(self) -> None:
        """What does not depend on the block of outputs."""
        with T.serial(self.count) as column:
            self._sum_products(column)

    def sweep(self, first_block: Expr, panel: int, unroll: int, ahead: Ahead) -> None:
        """The outputs of a panel; meanwhile the weights of the next are fetched."""
        with T.serial(self.count) as column, T.serial(panel) as i:
            block = first_block + i
            sums = Vectors(self.tile, self.workload.lanes)
            size = self.largest[column]
            with T.If(tirx.all(size >= constant(LOWEST), size <= constant(HIGHEST))):
                with T.Then():
                    self._sum_paired(sums, block, column, unroll, ahead)
                with T.Else():
                    self._sum_direct(sums, block, column)
            self._store(sums, block, column)

    def _pixel(self, column: Expr, p: int) -> Expr:
        return self.first + column * self.tile + p

    def _x(self, offset: Expr, column: Expr, p: int, v: int | Expr = 0) -> Expr:
        """x of a pixel at an offset from a table, or its lane `v`."""
        pt = self.buffers["pt"]
        if self.one_address:
            distance = self.workload.distance(p)
            return self.buffers["x"][address(offset, pt[self._pixel(column, 0)], distance, v)]
        return self.buffers["x"][address(offset, pt[self._pixel(column, p)], v)]

    def _k(self, block: Expr, row: Expr, v: Expr) -> Expr:
        return self.buffers["k"][(block * self.rows + row) * self.workload.lanes + v]

    def _bias(self, block: Expr, v: Expr) -> Expr:
        """What sums start from, in the scale of the weights."""
        value = epilogue.initial_value(self.workload.epilogue, self.buffers, block, v, self.workload.lanes)
        return value / self._k(block, 1, v)

    def _set(self, sums: Vectors, value: Callable[[int, Expr], Expr]) -> None:
        """`sums[p] = value(p)` for every pixel of a column."""
        for p in range(self.tile):
            with T.vectorized(sums.lanes) as v:
                sums.store(p, v, value(p, v))

    def _add(self, sums: Vectors, product: Callable[[int, Expr], Expr], pixels: range) -> None:
        """`sums[p] += product(p)` for some pixels of a column."""
        for p in pixels:
            with T.vectorized(sums.lanes) as v:
                sums.store(p, v, sums[p, v] + product(p, v))

    def _sum_products(self, column: Expr) -> None:
        """What the pairs of x add up to, for each pixel of a column; and the largest x among them."""
        lanes, buffers = self.workload.line_lanes, self.buffers
        sums, bounds = Vectors(self.tile, lanes), Vectors(_BOUNDS, lanes)
        fill(sums)
        fill(bounds)
        with T.serial(self.workload.lines) as line:
            for p in range(self.tile):
                with T.vectorized(lanes) as v:
                    left, right = (self._x(buffers["line"][line * 2 + i], column, p, v) for i in range(2))
                    sign, i = buffers["sign"][line * lanes + v], p % _BOUNDS
                    # Chosen, not multiplied with zero: lanes that hold no channel may hold anything.
                    used = tirx.NE(sign, constant(0.0))
                    total = sums[p, v] + left * sign * right
                    sums.store(p, v, tirx.Select(used, total, sums[p, v]))
                    bound = tirx.max(bounds[i, v], tirx.max(tirx.abs(left), tirx.abs(right)))
                    bounds.store(i, v, tirx.Select(used, bound, bounds[i, v]))
        for p in range(self.tile):
            T.buffer_store(self.products, reduce_lanes(add, sums, p), [column * self.tile + p])
        reduce_vectors(tirx.max, bounds)
        T.buffer_store(self.largest, reduce_lanes(tirx.max, bounds, 0), [column])

    def _sum_paired(self, sums: Vectors, block: Expr, column: Expr, unroll: int, ahead: Ahead) -> None:
        def start(p: int, v: Expr) -> Expr:
            return self._k(block, 0, v) + self._bias(block, v) - self.products[column * self.tile + p]

        self._set(sums, start)
        steps = self.workload.virtual_channels // GROUP // unroll
        length = self._steps_of_burst(steps)
        bursts = -(-steps // length)
        with T.serial(bursts) as burst:
            self._fetch(ahead, block, column * bursts + burst, bursts)
            with T.serial(length if steps % length == 0 else tirx.min(length, steps - burst * length)) as i:
                for group in range(unroll):
                    channel = ((burst * length + i) * unroll + group) * GROUP
                    self._add_group(sums, block, column, channel)

    def _steps_of_burst(self, steps: int) -> int:
        """All of a column, unless that makes too many lines at once; else a divisor if there is one."""
        if self.rows <= _LINES * self.most:
            return steps
        return next((length for length in _STEPS if steps % length == 0), _ANY_STEPS)

    def _fetch(self, ahead: Ahead, block: Expr, burst: Expr, bursts: int) -> None:
        """A share of a block's weights, all of which the bursts of all columns fetch.

        Nothing where columns are more than these vectors: the first one's wait does not count.
        """
        rows, lanes = self.rows, self.workload.lanes
        if rows * self.tile <= self.workload.pixels:
            return
        each = -(-rows // (bursts * self.most))
        fetched = block + ahead.blocks
        with T.If(tirx.all(fetched < ahead.end, burst * each < rows)), T.Then():
            for row in range(each):
                T.evaluate(fetch(self.buffers["k"], (fetched * rows + burst * each + row) * lanes))

    def _add_group(self, sums: Vectors, block: Expr, column: Expr, channel: Expr) -> None:
        """Each term for some pixels before the next: a multiply-add waits for the one before of its pixel."""
        some = _PIXELS if self.one_address else self.tile
        for first in range(0, self.tile, some):
            self._add_terms(sums, block, column, channel, range(first, min(first + some, self.tile)))

    def _add_terms(self, sums: Vectors, block: Expr, column: Expr, channel: Expr, pixels: range) -> None:
        def x(i: int, p: int) -> Expr:
            return self._x(self.buffers["ct"][channel + i], column, p)

        def k(i: int, v: Expr) -> Expr:
            return self._k(block, channel + HEADER + i, v)

        for product in (
            lambda p, v: (x(0, p) + k(1, v)) * (x(1, p) + k(0, v)),
            lambda p, v: (x(2, p) + k(3, v)) * (k(2, v) - x(3, p)),
            lambda p, v: x(4, p) * k(4, v),
            lambda p, v: x(5, p) * k(5, v),
        ):
            self._add(sums, product, pixels)

    def _sum_direct(self, sums: Vectors, block: Expr, column: Expr) -> None:
        """From the same weights; the same bits as an indexed convolution in the same order of channels.

        Their scale is a power of two; the fourth of a group is stored negated.
        """
        self._set(sums, lambda p, v: self._bias(block, v))
        with T.serial(self.workload.virtual_channels // GROUP) as step:
            for i in range(GROUP):
                sign = constant(-1.0 if i == NEGATED else 1.0)
                self._add_product(sums, block, column, step * GROUP + i, sign)

    def _store(self, sums: Vectors, block: Expr, column: Expr) -> None:
        workload, buffers = self.workload, self.buffers
        for channel in range(workload.virtual_channels // GROUP * GROUP, workload.virtual_channels):
            self._add_product(sums, block, column, channel, constant(1.0))
        for p in range(self.tile):
            with T.vectorized(workload.lanes) as v:
                at = epilogue.Position(block, self._pixel(column, p), v, workload.lanes)
                value = epilogue.finish_sum(workload.epilogue, sums[p, v] * self._k(block, 1, v), buffers, at)
                y = address(buffers["yo"][at.block], buffers["yp"][at.pixel], v)
                T.buffer_store(buffers["y"], value, [y])

    def _add_product(self, sums: Vectors, block: Expr, column: Expr, channel: Expr, sign: Expr) -> None:
        def product(p: int, v: Expr) -> Expr:
            return self._x(self.buffers["ct"][channel], column, p) * (
                sign * self._k(block, HEADER + channel, v)
            )

        self._add(sums, product, range(self.tile))
