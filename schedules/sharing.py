"""Kernels that several tasks share.

Such a kernel takes three parameters more: the number of the `task` that calls it, the `round` of the tasks'
barrier and a pointer to `ledgers` (`schedules/claims.py`). Its schedule marks the loops to share as parallel;
`ShareLoops`, a pass over lowered functions, makes each a loop over the units that a task claims:

    for i in parallel(0, n):   →   unit = claim(-1)
        ...                        while unit < units:
                                       for i in range(unit * n // units, (unit + 1) * n // units):
                                           ...
                                       unit = claim(unit)

Nothing is launched: whoever calls the kernel does so once for every task. It comes last in the lowering
pipeline, so that every pass before it sees loops of constant extent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import dropwhile
from typing import Any

import attrs
import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import SBlock, SBlockRealize, Schedule

from schedules.claims import LEDGERS, NO_LEDGER, claim, claiming, units_of
from schedules.launch import NONE
from schedules.parallelism import divides_evenly, shifts

SHARING = (("task", "int32"), ("round", "int64"), ("ledgers", "handle"))
"""Names and types of the parameters."""
_ATTRIBUTE, _LEDGERS = "shiftc.tasks", "shiftc.ledgers"
_LITTLE = 4
"""Tasks do not help each other in a loop of fewer iterations than a fourth of the longest."""
_SOME = 4
"""Nor in one that is run more often than this: its part of the work is small."""

Loop = Any
Expr = Any


def tasks_of(func: tirx.PrimFunc) -> int:
    """How many tasks share a kernel; 1 if it takes no `task`."""
    return int(func.attrs[_ATTRIBUTE]) if _ATTRIBUTE in func.attrs else 1


def ledgers_of(func: tirx.PrimFunc) -> int:
    """How many ledgers its tasks write into."""
    return int(func.attrs[_LEDGERS]) if _LEDGERS in func.attrs else 0


def for_tasks(func: tirx.PrimFunc, tasks: int) -> tirx.PrimFunc:
    """`func` with the parameters `SHARING` if it has parallel loops and several tasks are to share them.

    func: scheduled, not lowered. Its statements must not depend on each other: one without a parallel loop
          is left to the last task, unless it sets what a task has for itself. A loop of one iteration counts
          as none, because TVM leaves it out.
    """
    if tasks == 1 or not _has_parallel(func.body):
        return func
    task, *others = (tirx.Var(name, dtype) for name, dtype in SHARING)
    root = func.body.block

    def once(statement: Any) -> Any:
        if _is_every_tasks(statement) or _has_parallel(statement):
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
    shared = tirx.PrimFunc([*func.params, task, *others], body, func.ret_type, func.attrs)
    ledgers = sum(loop.ledgers for loop in _shared_loops(body, tasks))
    return shared.with_attr(_ATTRIBUTE, tasks).with_attr(_LEDGERS, ledgers)


def _is_every_tasks(statement: Any) -> bool:
    if isinstance(statement, tirx.BufferStore):
        return bool(statement.buffer.scope() == "local")
    return isinstance(statement, tirx.DeclBuffer | tirx.AllocBuffer)


def _has_parallel(statement: Any) -> bool:
    return bool(_parallel_loops(statement))


def _parallel_loops(statement: Any) -> list[tirx.For]:
    return [loop for loop in _loops(statement) if _is_shared(loop)]


def _loops(statement: Any) -> list[tirx.For]:
    """Those further inside first."""
    loops: list[tirx.For] = []
    tvm_ffi.structural_walk(statement, (tirx.For, loops.append), order="post")
    return loops


def _is_shared(loop: tirx.For) -> bool:
    return bool(loop.kind == tirx.ForKind.PARALLEL and int(loop.extent) > 1)


@attrs.frozen(eq=False)
class _SharedLoop:
    """A parallel loop, and those around it, which every task walks through: each time it has another ledger.

    first: number of its first ledger; ledgers: how many it has; none if it is short, or they would be many.
    shift: moves the units of which some tasks have one more.
    """

    loop: tirx.For
    around: tuple[tirx.For, ...]
    first: int
    ledgers: int
    shift: int

    @property
    def ledger(self) -> Expr:
        """Which is that of these iterations of the loops around."""
        number: Expr = tirx.IntImm("int32", 0)
        for loop in self.around:
            number = number * int(loop.extent) + tirx.Cast("int32", loop.loop_var - loop.min)
        return number + self.first


def _shared_loops(body: Any, tasks: int) -> list[_SharedLoop]:
    """In the order of `_loops`."""
    loops = _loops(body)
    shared = [loop for loop in loops if _is_shared(loop)]
    around: dict[Any, list[tirx.For]] = {loop.loop_var: [] for loop in shared}
    after = list(dropwhile(lambda loop: not _is_shared(loop), loops))  # loops around one come behind it
    for loop in reversed(after):
        if not _is_shared(loop):
            for inner in _parallel_loops(loop.body):
                around[inner.loop_var].append(loop)
    units = [units_of(int(loop.extent), tasks) for loop in shared]
    most = max((int(loop.extent) for loop in shared), default=0)
    found: list[_SharedLoop] = []
    end = 0
    for loop, shift in zip(shared, shifts(units, tasks), strict=True):
        outer = tuple(around[loop.loop_var])
        times = _times(outer)
        is_long = _LITTLE * int(loop.extent) >= most
        ledgers = times if is_long and times <= _SOME and end + times <= LEDGERS else 0
        found.append(_SharedLoop(loop, outer, end, int(ledgers), shift))
        end += found[-1].ledgers
    return found


def _times(around: Sequence[tirx.For]) -> float:
    """How often these loops run what is in them."""
    extents = [loop.extent for loop in around]
    if all(isinstance(extent, tirx.IntImm) for extent in extents):
        return math.prod(map(int, extents))
    return math.inf


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
    parameters = func.params[-len(SHARING) :]
    shared = {loop.loop.loop_var: loop for loop in _shared_loops(func.body, tasks)}

    def claimed(loop: tirx.For) -> Any:
        if loop.loop_var not in shared:
            return loop
        return _by_units(loop, shared[loop.loop_var], tasks, *parameters)

    body = tvm_ffi.structural_map(func.body, (tirx.For, claimed), order="post")
    return func.with_body(claiming(body))


def _by_units(
    loop: tirx.For, shared: _SharedLoop, tasks: int, task: Expr, meeting: Expr, ledgers: Expr
) -> tirx.Stmt:
    count, zero = int(loop.extent), tirx.IntImm("int32", 0)
    units = units_of(count, tasks)
    unit = tirx.decl_buffer((1,), "int32", "unit", scope="local")
    at = unit[zero]

    def following(previous: Expr) -> tirx.Stmt:
        ledger, number = (shared.ledger, meeting) if shared.ledgers else (0, NO_LEDGER)
        part = claim(ledgers, number, ledger, task, tasks, units, shared.shift, previous)
        return tirx.BufferStore(unit, part, [zero])

    index = tirx.Cast(loop.loop_var.ty.dtype, at)
    first, end = (tirx.truncdiv(number * count, units) for number in (index, index + 1))
    some = tirx.For(loop.loop_var, first, end - first, tirx.ForKind.SERIAL, loop.body)
    until = tirx.While(tirx.LT(at, tirx.IntImm("int32", units)), tirx.SeqStmt([some, following(at)]))
    return tirx.SeqStmt([tirx.AllocBuffer(unit), following(NONE), until])


ShareLoops = tirx.transform.prim_func_pass(_share, opt_level=0)
