"""Kernels that several tasks share.

Such a kernel takes the number of the task that calls it as its last parameter, `task`. Its schedule marks the
loops to share as parallel; `ShareLoops`, a pass over lowered functions, leaves each task its `share`:

    for i in parallel(0, n)   →   for i in range((task * n + s) // tasks, ((task + 1) * n + s) // tasks)

Nothing is launched: whoever calls the kernel does so once for every task. It comes last in the lowering
pipeline, so that every pass before it sees loops of constant extent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize, Schedule

from schedules.parallelism import divides_evenly, shifts

TASK = "task"
"""Name of the parameter."""
_ATTRIBUTE = "shiftc.tasks"

Loop = Any


def tasks_of(func: tirx.PrimFunc) -> int:
    """How many tasks share a kernel; 1 if it takes no `task`."""
    return int(func.attrs[_ATTRIBUTE]) if _ATTRIBUTE in func.attrs else 1


def for_tasks(func: tirx.PrimFunc, tasks: int) -> tirx.PrimFunc:
    """`func` with the parameter `task` if it has parallel loops and several tasks are to share them.

    func: scheduled, not lowered. Its statements must not depend on each other: one without a parallel loop
          is left to the last task. A loop of one iteration counts as none, because TVM leaves it out.
    """
    if tasks == 1 or not _has_parallel(func.body):
        return func
    task = tirx.Var(TASK, "int32")
    root = func.body.block

    def once(statement: Any) -> Any:
        if isinstance(statement, tirx.DeclBuffer | tirx.AllocBuffer) or _has_parallel(statement):
            return statement
        return tirx.IfThenElse(tirx.EQ(task, tirx.IntImm("int32", tasks - 1)), statement, None)

    statements = list(root.body.seq) if isinstance(root.body, tirx.SeqStmt) else [root.body]
    block = SBlock(
        root.iter_vars,
        root.reads,
        root.writes,
        root.name_hint,
        tirx.SeqStmt([once(statement) for statement in statements]),
        root.init,
        root.alloc_buffers,
        root.match_buffers,
        root.annotations,
    )
    body = SBlockRealize(func.body.iter_values, func.body.predicate, block)
    shared = tirx.PrimFunc([*func.params, task], body, func.ret_type, func.attrs)
    return shared.with_attr(_ATTRIBUTE, tasks)


def _has_parallel(statement: Any) -> bool:
    found = False

    def visit(loop: tirx.For) -> tirx.For:
        nonlocal found
        found = found or (loop.kind == tirx.ForKind.PARALLEL and int(loop.extent) > 1)
        return loop

    tvm_ffi.structural_map(statement, (tirx.For, visit), order="post")
    return found


def share_loops(schedule: Schedule, outer: Sequence[Loop], near: Sequence[Loop], tasks: int) -> Loop:
    """Share the loops `outer`, which lie one inside the next; the innermost loop around a tile afterwards.

    near: those of them that walk over pixels, next to each other. If they divide evenly they are shared
          alone: then a task works on the same part of the plane from kernel to kernel, and finds it in its
          own cache. If not, all loops are fused.
    """
    if tasks == 1:
        return outer[-1]
    extent = math.prod(int(schedule.get(loop).extent) for loop in near)
    alone = bool(near) and divides_evenly(extent, tasks)
    shared = schedule.fuse(*(near if alone else outer))
    schedule.parallel(shared)
    return outer[-1] if alone and not near[-1].same_as(outer[-1]) else shared


def _share(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    tasks = tasks_of(func)
    if tasks == 1:
        return func
    task = func.params[-1]
    extents: list[int] = []

    def count(loop: tirx.For) -> tirx.For:
        if loop.kind == tirx.ForKind.PARALLEL:
            extents.append(int(loop.extent))
        return loop

    tvm_ffi.structural_map(func.body, (tirx.For, count), order="post")
    remaining = iter(shifts(extents, tasks))

    def narrow(loop: tirx.For) -> tirx.For:
        if loop.kind != tirx.ForKind.PARALLEL:
            return loop
        shift, number = next(remaining), tirx.Cast(loop.loop_var.ty.dtype, task)
        first, end = (tirx.truncdiv(t * int(loop.extent) + shift, tasks) for t in (number, number + 1))
        return tirx.For(loop.loop_var, first, end - first, tirx.ForKind.SERIAL, loop.body)

    return func.with_body(tvm_ffi.structural_map(func.body, (tirx.For, narrow), order="post"))


ShareLoops = tirx.transform.prim_func_pass(_share, opt_level=0)
