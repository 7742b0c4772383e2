"""A residual convolution as one TIR function: a loop over tiles of rows, annotated as a software pipeline.

    for t in range(T):              # software_pipeline_stage = software_pipeline_order = [0, 1]
        convolution: tile[n, o, h, w] = pre(sum_{c,i,j} x[n, c, row s + i d - p, w s + j d - p] k[o, c, i, j])
        epilogue:    y[n, o, row, w] = post(tile[n, o, h, w], r[n, o, row, w])

with row = first(t) + h for 0 <= h < first(t + 1) - first(t), first(t) = ceil(H t / T): the tiles of
`staged.tile`, whose heights differ by one at most, for any T from 1 to H. `pre` are the first `split` steps
of the epilogue, `post` the others. The convolution first copies the rows that its tile needs into `window`:
halo included, zeros where they are padding, through the operand's index map if it has one. A second tensor
with an index map is copied likewise. Where r is the result of a convolution that nobody else reads, that is a
block `branch` of the first stage, and r a tile.

Of the loop, TVM's InjectSoftwarePipeline (`pipelined`) makes a prologue, convolution(0); a body,
convolution(t + 1) beside epilogue(t); an epilogue, epilogue(T - 1); and of a tile two buffers, written by
turns. One tile is no pipeline: it is the plain fused function. Every sum is a chain of multiply-adds in the
order of `tvm_passes.summation`, wherever the rows are cut, so all T give the same bits.

Preconditions: float32; a convolution, dense, grouped or depthwise, to which a tensor is added.
Place: behind `collect`. It needs no stages of the program: it does to one operator what `tile` does to all.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import tvm
from tvm import s_tir, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from .program import Operator, StagedProgram, StagedProgramError
from .tir_rows import Expr, Rows, RowsEmitter, alloc


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
    branch = branch_of(program, operator)
    names = list(dict.fromkeys(_read_buffers(operator)))
    if branch is not None:
        names.remove(branch.output)
        names = list(dict.fromkeys((*names, *_read_buffers(branch))))
    names.append(operator.output)
    for name in names:
        if program.buffer(name).dtype != "float32":
            raise StagedProgramError(
                f"{operator.name}: {program.buffer(name).dtype} in '{name}', not float32"
            )
    return TiledConvAdd(_function(program, operator, branch, names, tiles), tuple(names))


def branch_of(program: StagedProgram, operator: Operator) -> Operator | None:
    """The convolution whose result is the second tensor of a residual one, and read by nobody else."""
    added = next(post for post in operator.epilogue if post.operand is not None)
    if added.operand is None or added.operand.map is not None or added.per_channel:
        return None
    found = next((o for o in program.operators if o.output == added.operand.tensors[0]), None)
    if found is None or found.weight is None or any(post.operand is not None for post in found.epilogue):
        return None
    read = [name for o in program.operators for name in _tensors(o)]
    read += [port.buffer for port in program.outputs]
    return found if read.count(found.output) == 1 else None


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


def identifier(name: str) -> str:
    """The name with what is no letter, digit or underscore replaced."""
    return "".join(c if c.isalnum() else "_" for c in name)


def _function(
    program: StagedProgram, operator: Operator, branch: Operator | None, names: list[str], tiles: int
) -> tirx.PrimFunc:
    batch, channels, height, width = program.shape(operator.output)
    tiles = min(tiles, height)
    convolutions = {"convolution": operator} | ({"branch": branch} if branch is not None else {})
    numbers = list(range(len(convolutions) + 1))
    pipeline = {
        "software_pipeline_stage": [0] * len(convolutions) + [1],
        "software_pipeline_order": numbers,
    }
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(f"conv_add_{identifier(operator.name)}")
        T.func_attr({"tirx.noalias": True})
        buffers = {n: T.arg(identifier(n), T.buffer(_shape(program, n), layout=None)) for n in names}
        emitter = RowsEmitter(program, buffers)
        with T.sblock("root"), T.serial(tiles, annotations=pipeline if tiles > 1 else {}) as t:
            IRBuilder.name("t", t)
            rows = _rows_of_tile(t, height, tiles)
            with T.sblock("rows"):
                made = {}
                for block, convolution in convolutions.items():
                    name = "tile" if convolution is operator else "branch_tile"
                    made[convolution.output] = alloc(name, (batch, channels, rows.most, width))
                    with T.sblock(block):
                        emitter.convolution(convolution, rows, made[convolution.output])
                with T.sblock("epilogue"):
                    emitter.epilogue(operator, rows, made.pop(operator.output), made)
    return builder.get()


def _rows_of_tile(t: Expr, height: int, tiles: int) -> Rows:
    most = -(-height // tiles)
    if height % tiles == 0:
        return Rows(t * most, most, most)
    first, after = ((number * height + (tiles - 1)) // tiles for number in (t, t + 1))
    return Rows(first, after - first, most)


def _shape(program: StagedProgram, name: str) -> tuple[int, ...]:
    buffer = program.buffer(name)
    return buffer.shape if buffer.kind == "weight" else program.shape(name)


def _read_buffers(operator: Operator) -> Iterator[str]:
    """Everything that an operator reads: operand, weights, and what its epilogue does, in order."""
    yield from operator.operand.tensors
    if operator.weight is not None:
        yield operator.weight
    for post in operator.epilogue:
        if post.vector is not None:
            yield post.vector
        if post.operand is not None:
            yield from post.operand.tensors


def _tensors(operator: Operator) -> Iterator[str]:
    """The tensors that an operator reads, as often as it does."""
    yield from operator.operand.tensors
    for post in operator.epilogue:
        if post.operand is not None:
            yield from post.operand.tensors
