"""A schedule for any legalised Relax operator: what no template takes still runs in vectors and threads.

The operator's PrimFunc (from `relax.transform.LegalizeOps`) is scheduled block by block:

- element-wise blocks with one consumer are inlined into it;
- a reduction along contiguous memory is made one of vectors, and one over the lanes of the last vector;
- every remaining block gets its spatial loops outside its reduction loops, the innermost spatial loop in
  vectors if its extent allows; if it is the only one, the outermost loops are fused and shared between tasks
  where that pays;
- a reduction with vectors sums a small tile in registers, its initial value set apart.

Each step is tried alone and left out where TVM refuses it, so the result is always correct, at worst slow.
Buffer parameters become raw pointers, the calling convention of all kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize, Schedule
from tvm.s_tir import ScheduleError as Refused
from tvm.tirx.buffer import is_buffer_var

from schedules import activation
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.sharing import for_tasks
from schedules.template import largest_divisor

_SPATIAL, _REDUCTION = 0, 2
"""Kinds of IterVar."""
_TILE_VECTORS, _TILE_ROWS = 2, 4

_NARROWEST_VECTOR = 4

_VECTOR_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tirx.exp": activation.exp,
    "tirx.tanh": activation.tanh,
    "tirx.sigmoid": activation.sigmoid,
    "tirx.erf": activation.erf,
}
_LIBRARY_FUNCTIONS = {
    f"tirx.{name}": name
    for name in ("acos", "acosh", "asin", "asinh", "atan", "atanh", "cosh", "erf", "log1p", "sinh", "tan")
}
"""By their names in C's library; the code generator lowers some for scalars or for float32 only."""
_SHORT_FLOATS = ("float16", "bfloat16")
_FINITE = {name: float(np.finfo(name).max) for name in ("float16", "float32", "float64")}
"""The largest number of a type."""


def schedule_generic(func: tirx.PrimFunc, machine: MachineParameters, threads: int) -> tirx.PrimFunc:
    """`func` scheduled for `machine`, private, with its Buffer parameters as raw pointers in the same order.

    func: static shapes, s_tir blocks, as LegalizeOps makes it; other parameters than buffers are kept.
    """
    schedule = Schedule(tvm.IRModule({"main": with_vector_functions(func)}))
    _inline_elementwise(schedule)
    for block in _blocks(schedule):
        _sum_in_lanes(schedule, block, machine)
    blocks = _blocks(schedule)
    # A block that reads what another one wrote would have to wait for all tasks in between.
    tasks = threads if len(blocks) == 1 else 1
    for block in blocks:
        _schedule_block(schedule, block, machine, tasks)
    return for_tasks(with_raw_pointers(_from_infinity(schedule.mod["main"])), tasks)


def _from_infinity(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Maxima and minima begin at infinity: TVM begins at the last finite number."""

    def unbounded(store: Any) -> Any:
        value = store.value
        if not isinstance(value, tirx.FloatImm) or str(value.ty) not in _FINITE:
            return store
        if abs(value.value) != _FINITE[str(value.ty)]:
            return store
        limit = tirx.FloatImm(value.ty, math.copysign(math.inf, value.value))
        return tirx.BufferStore(store.buffer, limit, store.indices)

    def begins(block: SBlock) -> Any:
        init, body = block.init, block.body
        if init is not None:
            init = tvm_ffi.structural_map(init, (tirx.BufferStore, unbounded), order="post")
        elif block.name_hint.endswith("_init"):
            body = tvm_ffi.structural_map(body, (tirx.BufferStore, unbounded), order="post")
        return SBlock(
            block.iter_vars,
            block.reads,
            block.writes,
            block.name_hint,
            body,
            init,
            block.alloc_buffers,
            block.match_buffers,
            block.annotations,
        )

    return func.with_body(tvm_ffi.structural_map(func.body, (SBlock, begins), order="post"))


def _blocks(schedule: Schedule) -> list[Any]:
    """Those to schedule: none where the function is one block, of statements in an order of their own."""
    if schedule.mod["main"].body.block.name_hint != "root":
        return []
    return list(schedule.get_child_blocks(schedule.get_sblock("root")))


def _extent(schedule: Schedule, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _iterations(schedule: Schedule, block: Any) -> int:
    return math.prod(_extent(schedule, loop) for loop in schedule.get_loops(block))


def _inline_elementwise(schedule: Schedule) -> None:
    """Into the one consumer, unless that would compute an element more than once."""
    for block in _blocks(schedule):
        consumers = schedule.get_consumers(block)
        if len(consumers) == 1 and _iterations(schedule, consumers[0]) <= _iterations(schedule, block):
            with suppress(Refused):
                schedule.compute_inline(block)


def _split_axes(schedule: Schedule, block: Any) -> tuple[list[Any], list[Any]]:
    """Loops over spatial and over reduction axes; none of either where loops and axes do not correspond."""
    loops, axes = schedule.get_loops(block), schedule.get(block).iter_vars
    if len(loops) != len(axes):
        return [], []
    kinds = [axis.iter_type == _REDUCTION for axis in axes]
    spatial = [loop for loop, reduces in zip(loops, kinds, strict=True) if not reduces]
    return spatial, [loop for loop, reduces in zip(loops, kinds, strict=True) if reduces]


def _sum_in_lanes(schedule: Schedule, block: Any, machine: MachineParameters) -> None:
    """A reduction along contiguous memory becomes `width` partial ones side by side, and one over them.

    The new block has the lanes as its innermost spatial axis and is then scheduled as any other.
    """
    spatial, reductions = _split_axes(schedule, block)
    if not reductions or not spatial or _is_contiguous(schedule.get(block), _SPATIAL):
        return
    width = largest_divisor(_extent(schedule, reductions[-1]), machine.lanes)
    if width < _NARROWEST_VECTOR or not _is_contiguous(schedule.get(block), _REDUCTION):
        return
    with suppress(Refused):
        _, lane = schedule.split(reductions[-1], [None, width])
        schedule.rfactor(lane, factor_axis=len(spatial))


def _schedule_block(schedule: Schedule, block: Any, machine: MachineParameters, threads: int) -> None:
    spatial, reductions = _split_axes(schedule, block)
    if not spatial:
        return
    iterations = _iterations(schedule, block)
    width = 1
    if _is_contiguous(schedule.get(block), _SPATIAL):
        width = largest_divisor(_extent(schedule, spatial[-1]), machine.lanes)
    if width < _NARROWEST_VECTOR:
        with suppress(Refused):
            schedule.reorder(*spatial, *reductions)
        _share(schedule, spatial, iterations, threads)
        if reductions:
            with suppress(Refused):
                schedule.decompose_reduction(block, reductions[0])
        return
    spatial[-1], vector = schedule.split(spatial[-1], [None, width])
    if reductions:
        _keep_tile(schedule, block, spatial, reductions, vector, iterations // width, threads)
    else:
        _share(schedule, spatial, iterations // width, threads)
        with suppress(Refused):
            schedule.vectorize(vector)


def _keep_tile(
    schedule: Schedule,
    block: Any,
    spatial: list[Any],
    reductions: list[Any],
    vector: Any,
    iterations: int,
    threads: int,
) -> None:
    """Sum a small tile of rows and vectors in registers, then write it out."""
    tile: list[Any] = []
    for axis, limit in ((-1, _TILE_VECTORS), (-2, _TILE_ROWS)):
        if len(spatial) >= -axis:
            factor = largest_divisor(_extent(schedule, spatial[axis]), limit)
            spatial[axis], inner = schedule.split(spatial[axis], [None, factor])
            tile.insert(0, inner)
    with suppress(Refused):
        schedule.reorder(*spatial, *reductions, *tile, vector)
        write = schedule.cache_write(block, 0, "local")
        at = _share(schedule, spatial, iterations, threads)
        schedule.reverse_compute_at(write, at, preserve_unit_loops=True)
        schedule.vectorize(vector)
        for loop in tile:
            schedule.unroll(loop)
        *rows, lanes = schedule.get_loops(write)[-len(tile) - 1 :]
        schedule.vectorize(schedule.split(lanes, [None, _extent(schedule, vector)])[1])
        for loop in rows:
            schedule.unroll(loop)
        init = schedule.get_loops(schedule.decompose_reduction(block, reductions[0]))
        schedule.vectorize(init[-1])
        for loop in init[-len(tile) - 1 : -1]:
            schedule.unroll(loop)


def _share(schedule: Schedule, loops: list[Any], iterations: int, threads: int) -> Any:
    """The innermost of `loops`; if threads pay, the one loop they were fused to."""
    if not worth_threads(iterations, threads):
        return loops[-1]
    fused = schedule.fuse(*loops)
    with suppress(Refused):
        schedule.parallel(fused)
    return fused


def _is_contiguous(block: SBlock, kind: int) -> bool:
    """Whether the innermost axis of this kind runs along the last dimension of something read.

    For a spatial axis, also of what is written.
    """
    innermost = [axis.var for axis in block.iter_vars if axis.iter_type == kind][-1]
    reads, writes = (
        [bool(r.region) and _is_offset_of(r.region[-1].min, innermost) for r in regions]
        for regions in (block.reads, block.writes)
    )
    return (any(reads) or not reads) and (kind != _SPATIAL or all(writes))


def _is_offset_of(index: Any, var: Any) -> bool:
    """Whether the index is the variable plus other terms."""
    if isinstance(index, tirx.Add):
        return _is_offset_of(index.a, var) or _is_offset_of(index.b, var)
    return bool(index.same_as(var))


def with_raw_pointers(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """The function with every Buffer parameter replaced by a pointer to its first element."""
    declarations, parameters = [], []
    for parameter in func.params:
        if is_buffer_var(parameter):
            pointer = tirx.Var(parameter.name, tvm.ir.PointerType(tvm.ir.PrimType(parameter.dtype)))
            declarations.append(tirx.DeclBuffer(parameter, data=pointer))
            parameter = pointer
        parameters.append(parameter)
    root = func.body.block
    block = SBlock(
        root.iter_vars,
        root.reads,
        root.writes,
        root.name_hint,
        tirx.SeqStmt([*declarations, root.body]),
        root.init,
        root.alloc_buffers,
        root.match_buffers,
        root.annotations,
    )
    body = SBlockRealize(func.body.iter_values, func.body.predicate, block)
    result = tirx.PrimFunc(parameters, body, func.ret_type, func.attrs)
    return result.without_attr("global_symbol")


def _float_function(name: str, dtype: str, x: Any) -> Any:
    if dtype == "float32" and name in _VECTOR_FUNCTIONS:
        return _VECTOR_FUNCTIONS[name](x)
    if name not in _LIBRARY_FUNCTIONS:
        return tvm.ir.Call(tvm.ir.Op.get(name), [x], ret_ty=tvm.ir.PrimType(dtype))
    symbol = _LIBRARY_FUNCTIONS[name]
    return tirx.call_pure_extern(dtype, symbol if dtype == "float64" else f"{symbol}f", x)


def _in_order(loop: Any) -> Any:
    """A loop the operator came with, on one thread: nothing would wait between two that share their work."""
    if loop.kind != tirx.ForKind.PARALLEL:
        return loop
    return tirx.For(loop.loop_var, loop.min, loop.extent, tirx.ForKind.SERIAL, loop.body)


def _of_truths(comparison: Any) -> Any:
    """A comparison of truth values as conjunctions: the code generator takes vectors of them for numbers."""
    a, b = comparison.a, comparison.b
    if str(a.ty) != "bool":
        return comparison
    if isinstance(comparison, tirx.NE):
        b = tirx.Not(b)
    return tirx.Or(tirx.And(a, b), tirx.And(tirx.Not(a), tirx.Not(b)))


def with_vector_functions(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """What the code generator lowers for every type: functions, comparisons; minima and maxima that keep NaN.

    float32 exp, tanh, sigmoid and erf are polynomials instead of one library call per element.
    """

    def replace(call: tvm.ir.Call) -> Any:
        name, dtype = str(getattr(call.op, "name", "")), str(call.ty)
        if name not in _VECTOR_FUNCTIONS and name not in _LIBRARY_FUNCTIONS:
            return call
        if dtype in _SHORT_FLOATS:
            wide = _float_function(name, "float32", tirx.Cast("float32", call.args[0]))
            return tirx.Cast(dtype, wide)
        return _float_function(name, dtype, call.args[0])

    stored: list[Any] = []
    tvm_ffi.structural_walk(func.body, (tirx.BufferStore, lambda store: stored.append(store.buffer)))

    def accumulates(part: Any) -> bool:
        return isinstance(part, tvm.ir.TensorLoad) and any(part.source.same_as(buffer) for buffer in stored)

    def keep_nan(extreme: Any) -> Any:
        if "float" not in str(extreme.ty) or accumulates(extreme.a) or accumulates(extreme.b):
            return extreme
        if isinstance(extreme.a, tirx.FloatImm):
            return extreme
        if isinstance(extreme.b, tirx.FloatImm):
            return type(extreme)(extreme.b, extreme.a)
        return tirx.Select(tirx.isnan(extreme.a), extreme.a, extreme)

    body = func.body
    changes = (
        (tirx.Max, keep_nan),
        (tirx.Min, keep_nan),
        (tvm.ir.Call, replace),
        (tirx.For, _in_order),
        (tirx.EQ, _of_truths),
        (tirx.NE, _of_truths),
    )
    for kind, change in changes:
        body = tvm_ffi.structural_map(body, (kind, change), order="post")
    return func.with_body(body)
