"""Statements for whoever calls kernels that tasks share: one launch, and a barrier wherever tasks must wait.

    with launched(tasks):                              # handed to TVM's pool once
        with T.parallel(0, tasks) as task:
            ...                                        # kernel(…, task)
            barrier.arrive(task)
        with T.parallel(0, tasks) as task:
            barrier.wait(task)                         # for all that arrived above
            ...

TVM's code generator takes a parallel loop within a launch as one that the threads of the pool divide. Where
they are fewer than the tasks, a thread runs several of them, one after the other: so nobody may wait in the
same loop in which others have yet to arrive.

TVM's own barrier gives the core away whenever it has to wait, and comes back a microsecond late. Here a task
spins first, for longer than tasks differ in an even share of a step, and gives the core away after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import tvm
from tvm import tirx
from tvm.tirx.script import builder as T

Expr = Any

_SPINS = 1000
"""How often a waiting task looks before it gives its core away: some tens of microseconds."""
LINE = 64
"""Bytes that tasks must not share, or each would wait for the other's stores."""

_CODE = f"""
define i32 @shiftc_arrive(ptr %count, ptr %next, i64 %tasks) {{
  %ticket = atomicrmw add ptr %count, i64 1 acq_rel
  %round = udiv i64 %ticket, %tasks
  %following = add i64 %round, 1
  %all = mul i64 %following, %tasks
  store i64 %all, ptr %next, align 8
  ret i32 0
}}

define i64 @shiftc_round(ptr %next) {{
  %all = load i64, ptr %next, align 8
  ret i64 %all
}}

define i32 @shiftc_passed(ptr %count, ptr %next) {{
entry:
  %all = load i64, ptr %next, align 8
  br label %look
look:
  %spins = phi i32 [ 0, %entry ], [ %more, %again ]
  %arrived = load atomic i64, ptr %count acquire, align 8
  %passed = icmp uge i64 %arrived, %all
  %more = add i32 %spins, 1
  %tired = icmp eq i32 %more, {_SPINS}
  %done = or i1 %passed, %tired
  br i1 %done, label %leave, label %again
again:
  call void asm sideeffect "pause", ""()
  br label %look
leave:
  %result = zext i1 %passed to i32
  ret i32 %result
}}
"""
"""`count`: how many tasks have ever arrived; `next`, of each task: the count that completes its round."""


@contextmanager
def launched(tasks: int) -> Iterator[None]:
    """What is in it runs on as many threads as the pool has; nothing is launched for one task."""
    if tasks == 1:
        yield
        return
    one = tirx.IntImm("int32", 1)
    with (
        T.attr(one, "pragma_import_llvm", tvm.ir.StringImm(_CODE)),
        T.attr(one, "pragma_parallel_launch_point", one),
    ):
        yield


@attrs.frozen
class Barrier:
    """Where `tasks` tasks wait for each other; also from one launch to the next.

    pointer: an address in memory, by the number of bytes in front of it; `bytes` of them, zeros at first and
             at a multiple of 64, are the barrier's.
    """

    tasks: int
    pointer: Callable[[Expr], Expr]

    @staticmethod
    def bytes(tasks: int) -> int:
        """The memory it takes."""
        return LINE * (1 + tasks)

    def arrive(self, task: Expr) -> None:
        """The task has done what others wait for."""
        tasks = tirx.IntImm("int64", self.tasks)
        T.evaluate(tirx.call_extern("int32", "shiftc_arrive", *self._state(task), tasks))

    def wait(self, task: Expr) -> None:
        """Until all tasks have arrived as often as this one."""
        passed = tirx.call_extern("int32", "shiftc_passed", *self._state(task))
        with T.While(tirx.EQ(passed, tirx.IntImm("int32", 0))):
            T.evaluate(tirx.call_extern("int32", "sched_yield"))

    def round(self, task: Expr) -> Expr:
        """int64: how many tasks have arrived when all have this time; one number between two meetings."""
        _, arrived = self._state(task)
        return tirx.call_extern("int64", "shiftc_round", arrived)

    def _state(self, task: Expr) -> tuple[Expr, Expr]:
        own = (tirx.Cast("int64", task) + 1) * LINE
        return self.pointer(tirx.IntImm("int64", 0)), self.pointer(own)
