"""A schedule for any legalised Relax operator: what no template takes still runs in vectors and threads.

The operator's PrimFunc (from `relax.transform.LegalizeOps`) is scheduled block by block:

- element-wise blocks with one consumer are inlined into it;
- every remaining block gets its spatial loops outside its reduction loops, the innermost spatial loop in
  vectors if its extent allows, the outermost loops fused and shared between threads if that pays;
- the reduction's initial value is set apart, so that the loop over it is only arithmetic.

Each step is tried alone and left out where TVM refuses it, so the result is always correct, at worst slow.
Buffer parameters become raw pointers, the calling convention of all kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize, Schedule
from tvm.s_tir import ScheduleError as Refused
from tvm.tirx.buffer import is_buffer_var

from schedules import activation
from schedules.machine import MachineParameters
from schedules.parallelism import worth_threads
from schedules.template import largest_divisor

_REDUCTION = 2
"""IterVar kind of a reduction axis."""

_NARROWEST_VECTOR = 4

_VECTOR_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tirx.exp": activation.exp,
    "tirx.tanh": activation.tanh,
    "tirx.sigmoid": activation.sigmoid,
    "tirx.erf": activation.erf,
}


def schedule_generic(func: tirx.PrimFunc, machine: MachineParameters, threads: int) -> tirx.PrimFunc:
    """`func` scheduled for `machine`, private, with its Buffer parameters as raw pointers in the same order.

    func: static shapes, s_tir blocks, as LegalizeOps makes it; other parameters than buffers are kept.
    """
    schedule = Schedule(tvm.IRModule({"main": with_vector_functions(func)}))
    _inline_elementwise(schedule)
    for block in _blocks(schedule):
        _schedule_block(schedule, block, machine, threads)
    return with_raw_pointers(schedule.mod["main"])


def _blocks(schedule: Schedule) -> list[Any]:
    return list(schedule.get_child_blocks(schedule.get_sblock("root")))


def _inline_elementwise(schedule: Schedule) -> None:
    for block in _blocks(schedule):
        if len(schedule.get_consumers(block)) == 1:
            with suppress(Refused):
                schedule.compute_inline(block)


def _schedule_block(schedule: Schedule, block: Any, machine: MachineParameters, threads: int) -> None:
    loops, axes = schedule.get_loops(block), schedule.get(block).iter_vars
    if len(loops) != len(axes):
        return
    reductions = [loop for loop, axis in zip(loops, axes, strict=True) if axis.iter_type == _REDUCTION]
    spatial = [loop for loop, axis in zip(loops, axes, strict=True) if axis.iter_type != _REDUCTION]
    iterations = math.prod(int(schedule.get(loop).extent) for loop in loops)
    vector = None
    if spatial and _is_contiguous(schedule.get(block), axes):
        extent = int(schedule.get(spatial[-1]).extent)
        width = largest_divisor(extent, machine.lanes)
        if width >= _NARROWEST_VECTOR:
            spatial[-1], vector = schedule.split(spatial[-1], [None, width])
            iterations //= width
    with suppress(Refused):
        schedule.reorder(*spatial, *reductions, *([vector] if vector else []))
    if spatial and worth_threads(iterations, threads):
        with suppress(Refused):
            schedule.parallel(schedule.fuse(*spatial))
    if vector:
        with suppress(Refused):
            schedule.vectorize(vector)
    if reductions:
        with suppress(Refused):
            init = schedule.get_loops(schedule.decompose_reduction(block, reductions[0]))
            if vector:
                schedule.vectorize(init[-1])


def _is_contiguous(block: SBlock, axes: Any) -> bool:
    """Whether the innermost spatial axis runs along the last dimension of what is read and written."""
    innermost = [axis.var for axis in axes if axis.iter_type != _REDUCTION][-1]
    contiguous = [region.region[-1].min.same_as(innermost) for region in (*block.reads, *block.writes)]
    return bool(contiguous) and any(contiguous[: len(block.reads)] or [True]) and contiguous[-1]


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


def with_vector_functions(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """float32 exp, tanh, sigmoid and erf as polynomials instead of one library call per element."""

    def replace(call: tvm.ir.Call) -> Any:
        name = getattr(call.op, "name", "")
        if name not in _VECTOR_FUNCTIONS or str(call.ty) != "float32":
            return call
        return _VECTOR_FUNCTIONS[name](call.args[0])

    return func.with_body(tvm_ffi.structural_map(func.body, (tvm.ir.Call, replace), order="post"))
