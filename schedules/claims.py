"""Who computes which part of shared work, settled while it is computed.

Work is cut into `units`. Each task has a share of them, and claims one after the other; once its own are
claimed, it claims what is left of the others':

    part = claim(-1)
    while part < units:
        ...                                            # compute the part
        part = claim(part)

So a task whose core is slower for a while, or taken away, keeps less of its share, and nobody waits long for
it. Where work is too little for that, there is no ledger: then every task computes its own share and touches
no memory of the others.

The ledger of a piece of work has a counter for each task, on a line of memory of its own. A counter holds the
round it was last used in, so that nobody needs to set it back: in another round it counts as zero. A round is
a phase of `schedules/launch.py`, behind which tasks wait for each other.
Source: static scheduling with stealing, as in OpenMP's `static_steal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import tvm
from tvm import tirx
from tvm.tirx.script import builder as T

from schedules.launch import LINE, Phases, each

Expr = Any

NO_LEDGER = -1
"""The round of tasks that keep to their shares."""
LEDGERS = 16
"""Of one phase of a program; work beyond them goes by shares."""
MOST_UNITS = 1 << 16
"""That a counter counts."""
_UNITS_OF_TASK = 8
"""Units of a share at most: a claim takes some tens of cycles, and a task may be late by one unit."""

CODE = """
define linkonce_odr i32 @shiftc_claim(
    ptr %ledgers, i64 %round, i32 %ledger, i32 %task, i32 %tasks, i32 %units, i32 %shift, i32 %previous
) noinline nounwind {
entry:
  %alone = icmp slt i64 %round, 0
  br i1 %alone, label %own, label %ledgered
own:
  %own.low = mul i32 %task, %units
  %own.low.shifted = add i32 %own.low, %shift
  %own.first = udiv i32 %own.low.shifted, %tasks
  %own.high = add i32 %own.low.shifted, %units
  %own.end = udiv i32 %own.high, %tasks
  %begins = icmp slt i32 %previous, 0
  %following = add i32 %previous, 1
  %own.next = select i1 %begins, i32 %own.first, i32 %following
  %own.left = icmp slt i32 %own.next, %own.end
  %own.part = select i1 %own.left, i32 %own.next, i32 %units
  ret i32 %own.part
ledgered:
  %line = mul i32 %ledger, %tasks
  br label %owner
owner:
  %distance = phi i32 [ 0, %ledgered ], [ %further, %exhausted ]
  %beyond = add i32 %task, %distance
  %of = urem i32 %beyond, %tasks
  %low = mul i32 %of, %units
  %low.shifted = add i32 %low, %shift
  %first = udiv i32 %low.shifted, %tasks
  %high = add i32 %low.shifted, %units
  %end = udiv i32 %high, %tasks
  %count = sub i32 %end, %first
  %number = add i32 %line, %of
  %number.wide = zext i32 %number to i64
  %offset = mul i64 %number.wide, LINE
  %counter = getelementptr i8, ptr %ledgers, i64 %offset
  %found = load atomic i64, ptr %counter acquire, align 8
  br label %look
look:
  %held = phi i64 [ %found, %owner ], [ %other, %claim ]
  %held.round = lshr i64 %held, 16
  %held.parts = and i64 %held, 65535
  %current = icmp eq i64 %held.round, %round
  %claimed = select i1 %current, i64 %held.parts, i64 0
  %claimed.narrow = trunc i64 %claimed to i32
  %left = icmp ult i32 %claimed.narrow, %count
  br i1 %left, label %claim, label %exhausted
claim:
  %more = add i64 %claimed, 1
  %tagged = shl i64 %round, 16
  %new = or i64 %tagged, %more
  %exchange = cmpxchg ptr %counter, i64 %held, i64 %new acq_rel acquire
  %other = extractvalue { i64, i1 } %exchange, 0
  %done = extractvalue { i64, i1 } %exchange, 1
  br i1 %done, label %mine, label %look
mine:
  %part = add i32 %first, %claimed.narrow
  ret i32 %part
exhausted:
  %further = add i32 %distance, 1
  %nobody = icmp eq i32 %further, %tasks
  br i1 %nobody, label %none, label %owner
none:
  ret i32 %units
}
""".replace("LINE", str(LINE))
"""A round of 2^48 phases ago would pass for this one."""


def shared_bytes(tasks: int) -> int:
    """Memory of what a program's tasks share, see `shared_by`."""
    return Phases.bytes(tasks) + Ledgers.bytes(tasks)


def shared_by(tasks: int, pointer: Callable[[Expr], Expr]) -> tuple[Phases, Ledgers]:
    """A program's phases and its ledgers, one behind the other in the memory that `pointer` points into."""
    behind = Phases.bytes(tasks)
    return Phases(tasks, pointer), Ledgers(tasks, lambda further: pointer(behind + further))


def units_of(count: int, tasks: int) -> int:
    """In how many units a loop of `count` iterations is cut: equally long ones, unless it has few."""
    return min(count, _UNITS_OF_TASK * tasks)


def claim(
    ledgers: Expr, meeting: Expr, ledger: Expr, task: Expr, tasks: int, units: int, shift: int, previous: Expr
) -> Expr:
    """The unit that a task is to compute after the unit `previous`, or after none; `units` if none is left.

    ledgers:  pointer to the counters; ledger: the number of this work's.
    meeting:  int64, the round, or NO_LEDGER.
    shift:    as in `parallelism.share`, which says what the tasks' own units are.
    previous: NONE before the first.
    """
    numbers = (ledger, task, tasks, units, shift, previous)
    return tirx.call_extern("int32", "shiftc_claim", ledgers, _int64(meeting), *map(_int32, numbers))


def _int32(number: Expr) -> Expr:
    return tirx.IntImm("int32", number) if isinstance(number, int) else number


def _int64(number: Expr) -> Expr:
    return tirx.IntImm("int64", number) if isinstance(number, int) else number


def claiming(body: tirx.Stmt) -> tirx.Stmt:
    """`body` with the code that its claims call."""
    return tirx.AttrStmt(tirx.IntImm("int32", 1), "pragma_import_llvm", tvm.ir.StringImm(CODE), body)


@attrs.frozen
class Ledgers:
    """Those of a program of so many tasks, as far as one phase needs them.

    pointer: an address in memory, by the number of bytes in front of it; `bytes` of them, zeros at first and
             at a multiple of 64, are theirs.
    """

    tasks: int
    pointer: Callable[[Expr], Expr]

    @staticmethod
    def bytes(tasks: int) -> int:
        """The memory they take."""
        return LINE * tasks * LEDGERS

    def arguments(self, task: Expr, meeting: Expr, first: int) -> tuple[Expr, Expr, Expr]:
        """For the parameters `sharing.SHARING` of a kernel whose first ledger is this one."""
        offset = tirx.IntImm("int64", first * self.tasks * LINE)
        return task, _int64(meeting), self.pointer(offset)

    @contextmanager
    def claimed(self, task: Expr, meeting: Expr, ledger: int, units: int, shift: int) -> Iterator[Expr]:
        """The statements for each unit that a task claims, given its number."""
        at = self.pointer(tirx.IntImm("int64", 0))

        def following(previous: Expr) -> Expr:
            return claim(at, meeting, ledger, task, self.tasks, units, shift, previous)

        imported = T.attr(tirx.IntImm("int32", 1), "pragma_import_llvm", tvm.ir.StringImm(CODE))
        with imported, each(following, units) as unit:
            yield unit
