"""Operators → stages: every residual convolution as an H-tiled pipeline, every other operator whole.

    stage 0:  convolution(0)
    stage t:  epilogue(t - 1) ‖ convolution(t)      t = 1 … T - 1
    stage T:  epilogue(T - 1)

The convolution writes tile t into one of two buffers by turns, from which the other engine takes it in the
next stage: T + 1 stages and as many barriers, T - 1 of them with both engines at work.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from ..index_map import plane
from .halo import WindowRows, rows_read, tile_rows, window_rows
from .program import Access, Buffer, Engine, Operand, Operator, Part, Rows, Stage, StagedProgram, Step

DEFAULT_TILES = 4


def tile(program: StagedProgram, tiles: int = DEFAULT_TILES) -> StagedProgram:
    """The program with its stages and the buffers of their tiles.

    tiles: of every residual convolution, or its rows where it has fewer.
    """
    buffers, stages = list(program.buffers), list[Stage]()
    for operator in program.operators:
        if operator.is_residual:
            rows = tile_rows(_height(program, operator), tiles)
            buffers += _tile_buffers(program, operator, rows)
            stages += _pipeline(program, operator, rows)
        else:
            stages.append(Stage((_whole(program, operator),)))
    return attrs.evolve(program, buffers=tuple(buffers), stages=tuple(stages))


def _height(program: StagedProgram, operator: Operator) -> int:
    return program.shape(operator.output)[2]


def _tile_buffers(program: StagedProgram, operator: Operator, rows: list[Rows]) -> Iterator[Buffer]:
    batch, channels, _, width = program.shape(operator.output)
    height = max(last - first for first, last in rows)
    for number in range(min(2, len(rows))):
        yield Buffer(_tile_name(operator, number), "tile", (batch, channels, height, width))


def _tile_name(operator: Operator, tile: int) -> str:
    return f"{operator.name}.tile{tile % 2}"


def _pipeline(program: StagedProgram, operator: Operator, rows: list[Rows]) -> Iterator[Stage]:
    computed = [_convolution(program, operator, tile, part) for tile, part in enumerate(rows)]
    added = [_epilogue(program, operator, tile, part) for tile, part in enumerate(rows)]
    yield Stage((computed[0],))
    for number in range(1, len(rows)):
        yield Stage((computed[number], added[number - 1]))
    yield Stage((added[-1],))


def _convolution(program: StagedProgram, operator: Operator, tile: int, rows: Rows) -> Step:
    writes = Access(_tile_name(operator, tile), (0, rows[1] - rows[0]))
    return _step(program, operator, "convolution", operator.engine, tile, rows, writes)


def _epilogue(program: StagedProgram, operator: Operator, tile: int, rows: Rows) -> Step:
    own = Access(_tile_name(operator, tile), (0, rows[1] - rows[0]))
    reads = (own, *_post_reads(program, operator, rows))
    writes = Access(operator.output, rows)
    return Step(operator.name, "epilogue", "vector", tile, rows, rows, (0, 0), reads, writes)


def _whole(program: StagedProgram, operator: Operator) -> Step:
    rows = (0, _height(program, operator)) if operator.kind != "generic" else (0, 0)
    writes = Access(operator.output, rows)
    if operator.kind == "generic":
        reads = tuple(Access(name, rows) for name in operator.operand.tensors)
        return Step(operator.name, "whole", "vector", 0, rows, rows, (0, 0), reads, writes)
    return _step(program, operator, "whole", operator.engine, 0, rows, writes)


def _step(
    program: StagedProgram,
    operator: Operator,
    part: Part,
    engine: Engine,
    tile: int,
    rows: Rows,
    writes: Access,
) -> Step:
    """A step that computes rows from the operator's operand, and from its epilogue's if it has them."""
    needed = _window_rows(program, operator, rows)
    operand_rows, padding_rows = (needed.first, needed.last), (needed.above, needed.below)
    reads = _reads(program, operator.operand, operand_rows)
    if part == "whole":
        reads += _post_reads(program, operator, rows)
    return Step(operator.name, part, engine, tile, rows, operand_rows, padding_rows, reads, writes)


def _window_rows(program: StagedProgram, operator: Operator, rows: Rows) -> WindowRows:
    _, height, _ = plane(program.view_shape(operator.operand))
    if operator.tables:
        return WindowRows(0, height, 0, 0)
    if operator.kind in ("convolution", "depthwise", "window_pool"):
        kernel, stride, dilation = operator.kernel[0], operator.stride[0], operator.dilation[0]
        return window_rows(rows, height, kernel, stride, operator.padding[0], dilation)
    if operator.kind in ("global_pool", "group_norm"):
        return WindowRows(0, height, 0, 0)
    return WindowRows(*rows, 0, 0)


def _post_reads(program: StagedProgram, operator: Operator, rows: Rows) -> tuple[Access, ...]:
    found: tuple[Access, ...] = ()
    for post in operator.epilogue:
        if post.operand is not None:
            found += _reads(program, post.operand, (0, 1) if post.per_channel else rows)
    return found


def _reads(program: StagedProgram, operand: Operand, rows: Rows) -> tuple[Access, ...]:
    if operand.map is None:
        return (Access(operand.tensors[0], rows),)
    read = rows_read(operand.map, rows)
    return tuple(Access(operand.tensors[source], read[source]) for source in sorted(read))
