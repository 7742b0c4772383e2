"""Statements for whoever calls kernels that tasks share: one launch, and phases whose units tasks claim.

    with launched():                                   # handed to TVM's pool once
        with T.parallel(0, tasks) as task:
            phases.enter(task)
            with phases.units(task, tasks) as unit:    # each unit once, whoever computes it
                ...                                    # kernel(…, unit)
            ...                                        # here all units of the phase are done

Every task walks through all phases. A phase has at most as many units as there are tasks, and a task begins
with the unit of its own number. It then waits until all are done: it looks for a while, then claims a unit
that nobody has begun, and computes it as well. So only units under way are waited for, and a task that comes
late finds its units done and goes on to where the others are. Where the pool has fewer threads than there are
tasks, a thread walks for one after the other, and computes in the first walk what nobody else does.

What is claimed and done is counted upwards for ever, from one launch to the next: nobody sets anything
back. TVM's code generator takes a parallel loop in a launch as one that the threads of the pool divide.
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

_PATIENCE = 100
"""How often a task that waits looks before it computes what another one should: some microseconds, by which
tasks of even shares may differ. Tasks that have not even begun to walk are not waited for."""
_SPINS = 1000
"""After so many looks it gives its core away each time: some tens of microseconds."""
LINE = 64
"""Bytes that tasks must not share, or each would wait for the other's stores."""
NONE = -1
"""The unit before the first."""


def code(patience: int = _PATIENCE, spins: int = _SPINS) -> str:
    """The protocol, as LLVM's assembly.

    Its state: a line with how many units were ever done; one with how often tasks have begun to walk; of each
    task a line with the phases it has passed, and how many units these had; of each unit a line with the last
    phase it was claimed in, counted from one.
    """
    return f"""
declare i32 @sched_yield()

define linkonce_odr i32 @shiftc_enter(ptr %state) {{
  %present = getelementptr i8, ptr %state, i64 {LINE}
  %before = atomicrmw add ptr %present, i64 1 acq_rel
  ret i32 0
}}

define linkonce_odr i64 @shiftc_round(ptr %state, i32 %task) {{
  %number = zext i32 %task to i64
  %line = add i64 %number, 2
  %offset = mul i64 %line, {LINE}
  %own = getelementptr i8, ptr %state, i64 %offset
  %round = load i64, ptr %own, align 8
  ret i64 %round
}}

define linkonce_odr i32 @shiftc_unit(
    ptr %state, i32 %task, i32 %tasks, i32 %units, i32 %previous
) noinline nounwind {{
entry:
  %task.wide = zext i32 %task to i64
  %tasks.wide = zext i32 %tasks to i64
  %units.wide = zext i32 %units to i64
  %own.line = add i64 %task.wide, 2
  %own.offset = mul i64 %own.line, {LINE}
  %own = getelementptr i8, ptr %state, i64 %own.offset
  %round = load i64, ptr %own, align 8
  %own.all = getelementptr i8, ptr %own, i64 8
  %before = load i64, ptr %own.all, align 8
  %this = add i64 %round, 1
  %all = add i64 %before, %units.wide
  %flags.line = add i64 %tasks.wide, 2
  %flags.offset = mul i64 %flags.line, {LINE}
  %flags = getelementptr i8, ptr %state, i64 %flags.offset
  %present.at = getelementptr i8, ptr %state, i64 {LINE}
  %begins = icmp slt i32 %previous, 0
  br i1 %begins, label %first, label %arrive

first:
  %has.own = icmp ult i32 %task, %units
  br i1 %has.own, label %own.unit, label %wait

own.unit:
  %own.flag.offset = mul i64 %task.wide, {LINE}
  %own.flag = getelementptr i8, ptr %flags, i64 %own.flag.offset
  %own.held = load atomic i64, ptr %own.flag acquire, align 8
  %own.free = icmp ult i64 %own.held, %this
  br i1 %own.free, label %own.claim, label %wait

own.claim:
  %own.exchange = cmpxchg ptr %own.flag, i64 %own.held, i64 %this acq_rel acquire
  %own.won = extractvalue {{ i64, i1 }} %own.exchange, 1
  br i1 %own.won, label %own.mine, label %wait

own.mine:
  ret i32 %task

arrive:
  %ticket = atomicrmw add ptr %state, i64 1 acq_rel
  br label %wait

wait:
  %looks = phi i32 [ 0, %first ], [ 0, %own.unit ], [ 0, %own.claim ], [ 0, %arrive ], [ %more, %rested ]
  %done = load atomic i64, ptr %state acquire, align 8
  %complete = icmp uge i64 %done, %all
  br i1 %complete, label %leave, label %look

look:
  %present = load atomic i64, ptr %present.at monotonic, align 8
  %absent = urem i64 %present, %tasks.wide
  %all.here = icmp eq i64 %absent, 0
  %patience = select i1 %all.here, i32 {patience}, i32 0
  %tired = icmp uge i32 %looks, %patience
  %has.looked = icmp ugt i32 %looks, {patience}
  %waits = xor i1 %tired, true
  %rests = or i1 %waits, %has.looked
  br i1 %rests, label %rest, label %scan

scan:
  %distance = phi i32 [ 1, %look ], [ %further, %taken ]
  %nobody = icmp uge i32 %distance, %tasks
  br i1 %nobody, label %rested, label %candidate

candidate:
  %beyond = add i32 %task, %distance
  %other = urem i32 %beyond, %tasks
  %there = icmp ult i32 %other, %units
  br i1 %there, label %other.unit, label %taken

other.unit:
  %other.wide = zext i32 %other to i64
  %flag.offset = mul i64 %other.wide, {LINE}
  %flag = getelementptr i8, ptr %flags, i64 %flag.offset
  %held = load atomic i64, ptr %flag acquire, align 8
  %free = icmp ult i64 %held, %this
  br i1 %free, label %claim, label %taken

claim:
  %exchange = cmpxchg ptr %flag, i64 %held, i64 %this acq_rel acquire
  %won = extractvalue {{ i64, i1 }} %exchange, 1
  br i1 %won, label %mine, label %taken

mine:
  ret i32 %other

taken:
  %further = add i32 %distance, 1
  br label %scan

rest:
  %is.weary = icmp ugt i32 %looks, {spins}
  br i1 %is.weary, label %yield, label %pause

pause:
  call void asm sideeffect "pause", ""()
  br label %rested

yield:
  %yielded = call i32 @sched_yield()
  br label %rested

rested:
  %looked = phi i32 [ {patience}, %scan ], [ %looks, %pause ], [ %looks, %yield ]
  %more = add i32 %looked, 1
  br label %wait

leave:
  store i64 %this, ptr %own, align 8
  store i64 %all, ptr %own.all, align 8
  ret i32 %units
}}
"""


@contextmanager
def launched() -> Iterator[None]:
    """What is in it runs on as many threads as the pool has."""
    one = tirx.IntImm("int32", 1)
    with (
        T.attr(one, "pragma_import_llvm", tvm.ir.StringImm(code())),
        T.attr(one, "pragma_parallel_launch_point", one),
    ):
        yield


@contextmanager
def each(following: Callable[[Expr], Expr], units: int) -> Iterator[Expr]:
    """The statements for each of some units, given its number.

    following: int32, the unit after another one, or after NONE; `units` behind the last.
    """
    unit = T.alloc_buffer((1,), "int32", scope="local")
    T.buffer_store(unit, following(tirx.IntImm("int32", NONE)), [0])
    with T.While(unit[0] < units):
        yield unit[0]
        T.buffer_store(unit, following(unit[0]), [0])


@attrs.frozen
class Phases:
    """What `tasks` tasks walk through, also from one launch to the next.

    pointer: an address in memory, by the number of bytes in front of it; `bytes` of them, zeros at first and
             at a multiple of 64, are theirs.
    """

    tasks: int
    pointer: Callable[[Expr], Expr]

    @staticmethod
    def bytes(tasks: int) -> int:
        """The memory they take."""
        return LINE * (2 + 2 * tasks)

    def enter(self, task: Expr) -> None:
        """The task begins to walk: others no longer take it for absent."""
        T.evaluate(tirx.call_extern("int32", "shiftc_enter", self._state()))

    @contextmanager
    def units(self, task: Expr, units: int) -> Iterator[Expr]:
        """The statements for each unit that a task computes in a phase of so many, given its number. Behind
        them, all units are done. Every task has to come here as often as the others."""
        sizes = (tirx.IntImm("int32", number) for number in (self.tasks, units))
        at = (self._state(), tirx.Cast("int32", task), *sizes)
        with each(lambda previous: tirx.call_extern("int32", "shiftc_unit", *at, previous), units) as unit:
            yield unit

    def round(self, task: Expr) -> Expr:
        """int64: how many phases the task has passed; one number for all within a phase."""
        return tirx.call_extern("int64", "shiftc_round", self._state(), tirx.Cast("int32", task))

    def _state(self) -> Expr:
        return self.pointer(tirx.IntImm("int64", 0))
