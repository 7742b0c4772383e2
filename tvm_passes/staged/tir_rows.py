"""Rows of a staged program's operators as TIR: the statements of which `tile_conv_add` makes its loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.activation import UNARY, constant, unary
from schedules.epilogue import TENSOR, VECTOR
from schedules.template import tiles as runs_of_blocks

from ..index_map import IndexMap
from ..index_map_json import channel_runs
from ..piece import Piece
from .program import Operand, Operator, PostOperation, StagedProgram, StagedProgramError

Expr = Any


@attrs.frozen(eq=False)
class Rows:
    """Rows [first, first + count) of a result, as expressions; most: how many there are at most."""

    first: Expr
    count: Expr
    most: int


@attrs.frozen(eq=False)
class RowsEmitter:
    """Emits what computes rows of operators. buffers: by the names of the program's, [N, C, H, W]."""

    program: StagedProgram
    buffers: Mapping[str, Expr]

    def convolution(self, operator: Operator, rows: Rows, tile: Expr) -> None:
        """The operator up to its second tensor, of all images, into `tile` [N, O, rows, W].

        A `window` receives the rows that are read, with halo and padding.
        """
        (down, across), (below, beside) = operator.stride, operator.dilation
        batch, outputs, _, width = self.program.shape(operator.output)
        _, channels, _, _ = self.program.view_shape(operator.operand)
        span = (operator.kernel[0] - 1) * below + 1
        columns = (width - 1) * across + (operator.kernel[1] - 1) * beside + 1
        window = alloc("window", (channels, (rows.most - 1) * down + span, columns))
        above, left = operator.padding[:2]
        with loops(n=batch) as n:
            corner = (rows.first * down - above, -left)
            self._copy(operator.operand, n, corner, ((rows.count - 1) * down + span, columns), window)
            with loops(o=outputs, h=rows.count) as (o, h):
                self._sums(operator, window, tile, (n, o, h))

    def epilogue(self, operator: Operator, rows: Rows, tile: Expr, second: Mapping[str, Expr]) -> None:
        """The operator from its second tensor on, of all images.

        second: tiles of tensors that are read from there, by name.
        """
        posts = operator.posts("epilogue")
        copies = {i: self._room(operator, i, rows) for i, post in enumerate(posts) if _is_mapped(post)}
        batch, outputs, _, width = self.program.shape(operator.output)
        with loops(n=batch) as n:
            for i, copy in copies.items():
                operand = posts[i].operand
                assert operand is not None
                first, count = (0, 1) if posts[i].per_channel else (rows.first, rows.count)
                self._copy(operand, n, (first, 0), (count, int(copy.shape[2])), copy)
            with loops(o=outputs, h=rows.count, w=width) as (o, h, w):
                row, value = rows.first + h, tile[n, o, h, w]
                for i, post in enumerate(posts):
                    other = None
                    if post.operand is not None:
                        y, x = (0, 0) if post.per_channel else (h, w)
                        name = post.operand.tensors[0]
                        if i in copies:
                            other = copies[i][o, y, x]
                        elif name in second:
                            other = second[name][n, o, y, x]
                        else:
                            other = self.buffers[name][n, o, y if post.per_channel else row, x]
                    value = self._applied(operator, post, value, other, o)
                T.buffer_store(self.buffers[operator.output], value, [n, o, row, w])

    def _sums(self, operator: Operator, window: Expr, tile: Expr, at: tuple[Expr, ...]) -> None:
        """One row of one channel: all of its sums advance together, in the order of `summation`."""
        assert operator.weight is not None
        (n, o, h), weight = at, self.buffers[operator.weight]
        _, outputs, _, width = self.program.shape(operator.output)
        channels = int(weight.shape[1])
        groups = self.program.view_shape(operator.operand)[1] // channels
        first_channel = o // (outputs // groups) * channels
        (down, across), (below, beside) = operator.stride, operator.dilation
        height, breadth = operator.kernel
        with loops(w=width) as w:
            start = constant(0.0) if operator.starts is None else self.buffers[operator.starts][o]
            T.buffer_store(tile, start, [n, o, h, w])
        for first, count, lanes in runs_of_blocks(channels, operator.lanes):
            with loops(b=count // lanes, i=height, j=breadth, c=lanes, w=width) as (b, i, j, c, w):
                channel = first + b * lanes + c
                x = window[first_channel + channel, h * down + i * below, w * across + j * beside]
                T.buffer_store(tile, tile[n, o, h, w] + x * weight[o, channel, i, j], [n, o, h, w])
        posts = operator.posts("convolution")
        if posts:
            with loops(w=width) as w:
                value = tile[n, o, h, w]
                for post in posts:
                    value = self._applied(operator, post, value, None, o)
                T.buffer_store(tile, value, [n, o, h, w])

    def _room(self, operator: Operator, number: int, rows: Rows) -> Expr:
        """For rows of the second tensor of a step that reads it through a map."""
        _, outputs, _, width = self.program.shape(operator.output)
        per_channel = operator.posts("epilogue")[number].per_channel
        return alloc(f"second{number}", (outputs, 1, 1) if per_channel else (outputs, rows.most, width))

    def _applied(
        self, operator: Operator, post: PostOperation, value: Expr, other: Expr | None, o: Expr
    ) -> Expr:
        if post.kind in UNARY:
            return unary(post.kind, value, post.constants)
        if post.kind in VECTOR and post.vector is not None:
            return VECTOR[post.kind](value, self.buffers[post.vector][o])
        if post.kind in TENSOR and other is not None:
            return TENSOR[post.kind](other, value) if post.swapped else TENSOR[post.kind](value, other)
        raise StagedProgramError(
            f"{operator.name}: the step '{post.kind}' is not known, or lacks its operand"
        )

    def _copy(
        self, operand: Operand, n: Expr, corner: tuple[Expr, int], extents: tuple[Expr, int], to: Expr
    ) -> None:
        """Image n of an operand as seen through its map, from `corner` on; zeros outside of the plane."""
        sources = [self.buffers[name] for name in operand.tensors]
        index_map = operand.map or IndexMap.identity(self.program.view_shape(operand))
        first = 0
        for count, step, pieces in channel_runs(index_map.channels):
            with loops(c=count, y=extents[0], x=extents[1]) as (c, y, x):
                position = (n, corner[0] + y, corner[1] + x)
                value = constant(0.0)
                for piece in pieces:
                    read = _read(sources[piece.source], piece, c * step, position)
                    value = T.if_then_else(_inside(piece, position), read, value)
                T.buffer_store(to, value, [first + c, y, x])
            first += count


def _read(source: Expr, piece: Piece, further: Expr, position: Sequence[Expr]) -> Expr:
    n, y, x = (
        at * stride + offset for at, stride, offset in zip(position, piece.stride, piece.offset, strict=True)
    )
    return source[n, piece.channel + further, y, x]


def _inside(piece: Piece, position: Sequence[Expr]) -> Expr:
    return tirx.all(
        *(
            bound
            for at, start, stop in zip(position, piece.box.start, piece.box.stop, strict=True)
            for bound in (at >= start, at < stop)
        )
    )


def _is_mapped(post: PostOperation) -> bool:
    return post.operand is not None and post.operand.map is not None


def alloc(name: str, shape: Sequence[int]) -> Expr:
    """A buffer of the block that is being emitted."""
    buffer = T.sblock_alloc_buffer(tuple(shape), "float32", layout=None)
    IRBuilder.name(name, buffer)
    return buffer


@contextmanager
def loops(**extents: Expr) -> Iterator[Any]:
    """Nested serial loops, their variables named as the keywords; one alone is no tuple."""
    with T.grid(*extents.values()) as variables:
        found = [variables] if len(extents) == 1 else list(variables)
        for name, variable in zip(extents, found, strict=True):
            IRBuilder.name(name, variable)
        yield variables
