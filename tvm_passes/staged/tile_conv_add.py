"""A residual convolution as one TIR function: a loop over tiles of rows, annotated as a software pipeline.

    for t in range(T):              # software_pipeline_stage = software_pipeline_order = [0, 1]
        convolution: tile[n, o, h, w] = pre(sum_{c,i,j} x[n, c, row s + i d - p, w s + j d - p] k[o, c, i, j])
        epilogue:    y[n, o, row, w] = post(tile[n, o, h, w], r[n, o, row, w])

with row = first(t) + h for 0 <= h < first(t + 1) - first(t), first(t) = ceil(H t / T): the tiles of
`staged.tile`, whose heights differ by one at most, for any T from 1 to H. `pre` are the steps of the epilogue
in front of the second tensor, `post` the others. The convolution first copies the rows that its tile needs
into `window`: halo included, zeros where they are padding, through the operand's index map if it has one. A
second tensor with an index map is copied likewise.

Of the loop, TVM's InjectSoftwarePipeline (`pipelined`) makes a prologue, convolution(0); a body,
convolution(t + 1) beside epilogue(t); an epilogue, epilogue(T - 1); and of `tile` two buffers, written by
turns. One tile is no pipeline: it is the plain fused function. Every sum is a chain of multiply-adds in the
order of `tvm_passes.summation`, wherever the rows are cut, so all T give the same bits.

Preconditions: float32; a convolution, dense, grouped or depthwise, to which a tensor is added.
Place: behind `collect`. It needs no stages of the program: it does to one operator what `tile` does to all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import tvm
from tvm import s_tir, tirx
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
Buffers = dict[str, Any]

_PIPELINE = {"software_pipeline_stage": [0, 1], "software_pipeline_order": [0, 1]}


@attrs.frozen(eq=False)
class TiledConvAdd:
    """The function, and the program's buffer for each of its parameters, each [N, C, H, W]; the last is y."""

    function: tirx.PrimFunc
    buffers: tuple[str, ...]


def tile_conv_add(program: StagedProgram, operator: Operator, tiles: int) -> TiledConvAdd:
    """The operator in `tiles` tiles of rows, or in as many as its result has rows.

    Raises StagedProgramError for an operator that is no convolution to which a tensor is added, for one that
    is not float32 throughout, for a step of its epilogue that is not known, and for less than one tile.
    """
    if not operator.is_residual:
        raise StagedProgramError(f"{operator.name}: no convolution to which a tensor is added")
    if tiles < 1:
        raise StagedProgramError(f"{operator.name}: cannot be cut into {tiles} tiles")
    emitter = _Emitter(program, operator, min(tiles, program.shape(operator.output)[2]))
    return TiledConvAdd(emitter.function(), emitter.names)


def pipelined(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function as TVM's pipeline has it behind InjectSoftwarePipeline."""
    passes = [
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        tirx.transform.StmtSimplify(),
        s_tir.transform.InjectSoftwarePipeline(),
        tirx.transform.StmtSimplify(),
    ]
    return tvm.transform.Sequential(passes)(tvm.IRModule({"main": function}))["main"]


class _Emitter:
    def __init__(self, program: StagedProgram, operator: Operator, tiles: int) -> None:
        self._program = program
        self._operator = operator
        self._tiles = tiles
        self.names = tuple(dict.fromkeys((*_read_buffers(operator), operator.output)))
        for name in self.names:
            buffer = program.buffer(name)
            if buffer.dtype != "float32":
                raise StagedProgramError(f"{operator.name}: {buffer.dtype} in '{name}', not float32")
        self._shape = program.shape(operator.output)
        self._height = -(-self._shape[2] // tiles)
        """Rows of the highest tile."""
        self._buffers: Buffers = {}

    def function(self) -> tirx.PrimFunc:
        with IRBuilder() as builder, T.prim_func(s_tir=True):
            T.func_name(f"conv_add_{identifier(self._operator.name)}")
            T.func_attr({"tirx.noalias": True})
            for name in self.names:
                self._buffers[name] = T.arg(identifier(name), T.buffer(self._shape_of(name), layout=None))
            with T.sblock("root"), T.serial(self._tiles, annotations=self._annotations) as t:
                IRBuilder.name("t", t)
                with T.sblock("rows"):
                    tile = _alloc("tile", (*self._shape[:2], self._height, self._shape[3]))
                    self._emit_convolution(t, tile)
                    self._emit_epilogue(t, tile)
        return builder.get()

    @property
    def _annotations(self) -> dict[str, Any]:
        return _PIPELINE if self._tiles > 1 else {}

    def _shape_of(self, name: str) -> tuple[int, ...]:
        buffer = self._program.buffer(name)
        return buffer.shape if buffer.kind == "weight" else self._program.shape(name)

    # --- rows of tiles ----------------------------------------------------------------------

    def _first(self, t: Expr) -> Expr:
        """The first row of tile t."""
        height = self._shape[2]
        if height % self._tiles == 0:
            return t * self._height
        return (t * height + (self._tiles - 1)) // self._tiles

    def _rows(self, t: Expr) -> Expr:
        """How many rows tile t has."""
        if self._shape[2] % self._tiles == 0:
            return self._height
        return self._first(t + 1) - self._first(t)

    # --- the two engines --------------------------------------------------------------------

    def _emit_convolution(self, t: Expr, tile: Expr) -> None:
        operator = self._operator
        (down, across), (below, beside) = operator.stride, operator.dilation
        _, channels, _, _ = self._program.view_shape(operator.operand)
        span = (operator.kernel[0] - 1) * below + 1
        columns = (self._shape[3] - 1) * across + (operator.kernel[1] - 1) * beside + 1
        with T.sblock("convolution"):
            window = _alloc("window", (channels, (self._height - 1) * down + span, columns))
            with _loops(n=self._shape[0]) as n:
                above, left = operator.padding[:2]
                rows = (self._rows(t) - 1) * down + span
                corner = (self._first(t) * down - above, -left)
                self._emit_copy(operator.operand, n, corner, (rows, columns), window)
                with _loops(o=self._shape[1], h=self._rows(t)) as (o, h):
                    self._emit_sums(window, tile, n, o, h)

    def _emit_sums(self, window: Expr, tile: Expr, n: Expr, o: Expr, h: Expr) -> None:
        """One row of one channel: all of its sums advance together, in the order of `summation`."""
        operator = self._operator
        assert operator.weight is not None
        weight, width = self._buffers[operator.weight], self._shape[3]
        channels = int(weight.shape[1])
        groups = self._program.view_shape(operator.operand)[1] // channels
        first_channel = o // (self._shape[1] // groups) * channels
        (down, across), (below, beside) = operator.stride, operator.dilation
        with _loops(w=width) as w:
            start = constant(0.0) if operator.starts is None else self._buffers[operator.starts][o]
            T.buffer_store(tile, start, [n, o, h, w])
        for first, count, lanes in runs_of_blocks(channels, operator.lanes):
            extents = {
                "b": count // lanes,
                "i": operator.kernel[0],
                "j": operator.kernel[1],
                "c": lanes,
                "w": width,
            }
            with _loops(**extents) as (b, i, j, c, w):
                channel = first + b * lanes + c
                x = window[first_channel + channel, h * down + i * below, w * across + j * beside]
                T.buffer_store(tile, tile[n, o, h, w] + x * weight[o, channel, i, j], [n, o, h, w])
        posts = operator.posts("convolution")
        if posts:
            with _loops(w=width) as w:
                value = tile[n, o, h, w]
                for post in posts:
                    value = self._applied(post, value, None, o)
                T.buffer_store(tile, value, [n, o, h, w])

    def _emit_epilogue(self, t: Expr, tile: Expr) -> None:
        posts = self._operator.posts("epilogue")
        with T.sblock("epilogue"):
            copies = {i: self._alloc_copy(i, post) for i, post in enumerate(posts) if _is_mapped(post)}
            with _loops(n=self._shape[0]) as n:
                for i, copy in copies.items():
                    operand, rows = posts[i].operand, 1 if posts[i].per_channel else self._rows(t)
                    assert operand is not None
                    corner = (0 if posts[i].per_channel else self._first(t), 0)
                    self._emit_copy(operand, n, corner, (rows, int(copy.shape[2])), copy)
                with _loops(o=self._shape[1], h=self._rows(t), w=self._shape[3]) as (o, h, w):
                    row, value = self._first(t) + h, tile[n, o, h, w]
                    for i, post in enumerate(posts):
                        at = (0, 0) if post.per_channel else (h if i in copies else row, w)
                        other = None
                        if post.operand is not None:
                            tensor = copies[i] if i in copies else self._buffers[post.operand.tensors[0]]
                            other = tensor[(o, *at) if i in copies else (n, o, *at)]
                        value = self._applied(post, value, other, o)
                    T.buffer_store(self._buffers[self._operator.output], value, [n, o, row, w])

    def _alloc_copy(self, number: int, post: PostOperation) -> Expr:
        rows, columns = (1, 1) if post.per_channel else (self._height, self._shape[3])
        return _alloc(f"second{number}", (self._shape[1], rows, columns))

    # --- elements ---------------------------------------------------------------------------

    def _applied(self, post: PostOperation, value: Expr, other: Expr | None, o: Expr) -> Expr:
        if post.kind in UNARY:
            return unary(post.kind, value, post.constants)
        if post.kind in VECTOR:
            return VECTOR[post.kind](value, self._vector(post, o))
        if post.kind in TENSOR and other is not None:
            return TENSOR[post.kind](other, value) if post.swapped else TENSOR[post.kind](value, other)
        raise StagedProgramError(f"{self._operator.name}: the step '{post.kind}' is not known")

    def _vector(self, post: PostOperation, o: Expr) -> Expr:
        assert post.vector is not None
        return self._buffers[post.vector][o]

    def _emit_copy(
        self, operand: Operand, n: Expr, corner: tuple[Expr, int], extents: tuple[Expr, int], to: Expr
    ) -> None:
        """Image n of an operand as seen through its map, from `corner` on; zeros outside of the plane."""
        sources = [self._buffers[name] for name in operand.tensors]
        index_map = operand.map or IndexMap.identity(self._program.view_shape(operand))
        first = 0
        for count, step, pieces in channel_runs(index_map.channels):
            with _loops(c=count, y=extents[0], x=extents[1]) as (c, y, x):
                position = (n, corner[0] + y, corner[1] + x)
                value = constant(0.0)
                for piece in pieces:
                    read = _reads(sources[piece.source], piece, c * step, position)
                    value = T.if_then_else(_inside(piece, position), read, value)
                T.buffer_store(to, value, [first + c, y, x])
            first += count


def _reads(source: Expr, piece: Piece, further: Expr, position: Sequence[Expr]) -> Expr:
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


def _read_buffers(operator: Operator) -> Iterator[str]:
    yield from operator.operand.tensors
    assert operator.weight is not None
    yield operator.weight
    for post in operator.epilogue:
        if post.vector is not None:
            yield post.vector
        if post.operand is not None:
            yield from post.operand.tensors


def _alloc(name: str, shape: Sequence[int]) -> Expr:
    buffer = T.sblock_alloc_buffer(tuple(shape), "float32", layout=None)
    IRBuilder.name(name, buffer)
    return buffer


@contextmanager
def _loops(**extents: Expr) -> Iterator[Any]:
    """Nested serial loops, their variables named as the keywords; one alone is no tuple."""
    with T.grid(*extents.values()) as variables:
        found = [variables] if len(extents) == 1 else list(variables)
        for name, variable in zip(extents, found, strict=True):
            IRBuilder.name(name, variable)
        yield variables


def identifier(name: str) -> str:
    """The name with what is no letter, digit or underscore replaced."""
    return "".join(c if c.isalnum() else "_" for c in name)
