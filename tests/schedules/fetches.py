"""What a kernel fetches ahead, found by walking through its loops."""

from __future__ import annotations

from functools import cache
from typing import Any

import tvm
import tvm_ffi
from tvm import s_tir, tirx

from schedules.parallelism import share
from schedules.sharing import tasks_of


def fetched_from(buffer: str, func: tirx.PrimFunc, task: int = 0) -> list[int]:
    """The elements of a buffer whose lines a task fetches in a run, in order; conditions on data hold."""
    analyzer = tvm.sym.Analyzer()
    elements: list[int] = []

    @cache
    def fetches(statement: Any) -> bool:
        return "llvm.prefetch" in str(statement)

    def value(expression: Any, at: dict[Any, int]) -> int | None:
        def number(var: tirx.Var) -> Any:
            return tirx.IntImm("int32", at[var]) if var in at else var

        simple = analyzer.simplify(tvm_ffi.structural_map(expression, (tirx.Var, number), order="post"))
        return int(simple.value) if isinstance(simple, tirx.IntImm) else None

    def walk(statement: Any, at: dict[Any, int]) -> None:
        match statement:
            case tirx.SeqStmt():
                for part in statement.seq:
                    walk(part, at)
            case tirx.For() if fetches(statement):
                shared = statement.kind == tirx.ForKind.PARALLEL
                extent = value(statement.extent, at)
                for i in share(task, extent, tasks_of(func), 0) if shared else range(extent):
                    walk(statement.body, {**at, statement.loop_var: i})
            case tirx.IfThenElse():
                if value(statement.condition, at) != 0:
                    walk(statement.then_case, at)
            case s_tir.SBlockRealize():
                walk(statement.block.body, at)
            case tirx.Evaluate(value=call) if fetches(statement):
                (address,) = (a for a in call.args if isinstance(a, tvm.ir.Call))
                if address.args[0].source.name == buffer:
                    elements.append(value(address.args[0].indices[0], at))

    walk(func.body, {})
    return elements
