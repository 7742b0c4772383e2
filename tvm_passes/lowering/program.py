"""The program: one function that runs a compiled network's steps in order over its arena.

`main(arena u8[], constants u8[], inputs..., outputs..., first i32, last i32)` calls, for every step i with
first <= i < last, its kernel with pointers into these memories. Running a range of steps is how a
network is profiled and inspected; running all of them costs no more than the branches.

With several threads, a run is handed to TVM's pool once. Each of `threads` tasks walks through the phases of
all steps. A phase has a unit for each task: the kernels that tasks share, called with its number, and of the
other runs those that fall to it. Phases in a row that one task makes as a whole are one, of one unit:

    launch { for task in parallel(threads) { units of phase 0 { kernel(…, unit) } units of phase 1 { … } … } }

Which task computes a unit is settled on the way (`schedules/launch.py`), and in steps that are long enough so
is who computes which part of it (`schedules/claims.py`). The memory for that is the end of the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import attrs
import tvm
from tvm import tirx
from tvm.ir import GlobalVar, IRModule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.claims import LEDGERS, MOST_UNITS, NO_LEDGER, Ledgers, shared_by, shared_bytes
from schedules.launch import launched
from schedules.parallelism import share
from schedules.sharing import ledgers_of

from ..placement import Address
from .context import Invocation, KernelCall, Phase, Run, tasks_of_run

ENTRY = "main"


@attrs.frozen
class TensorType:
    """Shape and element type of an input or output of the program."""

    shape: tuple[int, ...]
    dtype: str


def build_program(
    calls: Sequence[KernelCall],
    arena_bytes: int,
    constant_bytes: int,
    inputs: Sequence[TensorType],
    outputs: Sequence[TensorType],
    threads: int = 1,
    helped: Sequence[bool] = (),
) -> IRModule:
    """The kernels, each once, and `main`.

    helped: of each call, whether its tasks help each other.
    """
    symbols: dict[str, GlobalVar] = {}
    functions: dict[GlobalVar, tirx.PrimFunc] = {}
    for invocation in (i for call in calls for i in call.invocations):
        if invocation.symbol not in symbols:
            symbols[invocation.symbol] = GlobalVar(invocation.symbol)
            functions[symbols[invocation.symbol]] = invocation.func
    functions[GlobalVar(ENTRY)] = _entry(
        calls, symbols, arena_bytes, constant_bytes, inputs, outputs, threads, helped
    )
    return IRModule(functions)


def with_barrier(arena_bytes: int, threads: int) -> int:
    """The size of an arena that also holds what so many tasks share, at a multiple of 64."""
    return arena_bytes if threads == 1 else -(-arena_bytes // 64) * 64 + shared_bytes(threads)


def _entry(
    calls: Sequence[KernelCall],
    symbols: dict[str, GlobalVar],
    arena_bytes: int,
    constant_bytes: int,
    inputs: Sequence[TensorType],
    outputs: Sequence[TensorType],
    threads: int,
    helped: Sequence[bool],
) -> tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name(ENTRY)
        T.func_attr({"global_symbol": ENTRY, "tirx.noalias": True})
        arena = _parameter("arena", TensorType((arena_bytes,), "uint8"))
        constants = _parameter("constants", TensorType((constant_bytes,), "uint8"))
        ins = [_parameter(f"input{i}", t) for i, t in enumerate(inputs)]
        outs = [_parameter(f"output{i}", t) for i, t in enumerate(outputs)]
        first, last = T.arg("first", T.int32()), T.arg("last", T.int32())

        def pointer(address: Address) -> Any:
            if address.region in ("arena", "constants"):
                memory = arena if address.region == "arena" else constants
                return T.address_of(memory[tirx.IntImm("int64", address.offset)])
            tensor = (ins if address.region == "input" else outs)[address.index]
            return T.address_of(tensor[tuple(tirx.IntImm("int64", 0) for _ in tensor.shape)])

        def invoke(invocation: Invocation, *task: Any) -> None:
            arguments = [*map(pointer, invocation.arguments), *task]
            T.evaluate(tvm.ir.Call(symbols[invocation.symbol], arguments, ret_ty="int32"))

        def asked_for(number: int) -> Any:
            return tirx.all(first <= number, number < last)

        def walk(task: Any) -> None:
            phases, ledgers = shared_by(threads, lambda further: T.address_of(arena[shared + further]))
            phases.enter(task)
            for group in _groups(calls):
                with T.If(tirx.any(*(asked_for(number) for number, _ in group))), T.Then():
                    number, phase = group[0]
                    if _is_alone(phase):
                        with phases.units(task, 1):
                            for number, phase in group:
                                whole(number, chain.from_iterable(phase))
                    else:
                        meeting = phases.round(task) if helped and helped[number] else NO_LEDGER
                        with phases.units(task, threads) as unit:
                            _share(phase, unit, meeting, ledgers, invoke)

        def whole(number: int, invocations: Iterable[Invocation]) -> None:
            with T.If(asked_for(number)), T.Then():
                for invocation in invocations:
                    invoke(invocation)

        shared = arena_bytes - shared_bytes(threads)
        if threads == 1:
            for number, call in enumerate(calls):
                whole(number, call.invocations)
        else:
            with launched(), T.parallel(0, threads) as task:
                walk(task)
    return builder.get()


def _groups(calls: Sequence[KernelCall]) -> list[list[tuple[int, Phase]]]:
    """The phases of all steps with the steps' numbers; in one group, neighbours that one task makes as a
    whole."""
    groups: list[list[tuple[int, Phase]]] = []
    for number, phase in ((number, phase) for number, call in enumerate(calls) for phase in call.phases):
        if groups and _is_alone(phase) and _is_alone(groups[-1][0][1]):
            groups[-1].append((number, phase))
        else:
            groups.append([(number, phase)])
    return groups


def _is_alone(phase: Phase) -> bool:
    """One task makes it as a whole."""
    return len(phase) == 1 and tasks_of_run(phase[0]) == 1


def _share(phase: Phase, task: Any, meeting: Any, ledgers: Ledgers, invoke: Callable[..., None]) -> None:
    """The unit of a task: its part of the invocations that are shared, and of the other runs.

    meeting: the round, or NO_LEDGER.
    """
    used = 0
    for run in phase:
        if tasks_of_run(run) > 1:
            (invocation,) = run
            count = ledgers_of(invocation.func)
            claims = 0 < count <= LEDGERS - used
            at = (meeting, used) if claims else (NO_LEDGER, 0)
            invoke(invocation, *ledgers.arguments(task, *at))
            used += count if claims else 0
    whole = [run for run in phase if tasks_of_run(run) == 1]
    tasks = ledgers.tasks

    def invoke_if(number: Any, index: int, runs: Sequence[Run]) -> None:
        if runs:
            with T.If(tirx.EQ(number, tirx.IntImm("int32", index))), T.Then():
                for invocation in chain.from_iterable(runs):
                    invoke(invocation)

    if len(whole) <= tasks or len(whole) > MOST_UNITS or used == LEDGERS:
        for number in range(tasks):
            mine = share(number, len(whole), tasks, tasks - 1)
            invoke_if(task, number, [whole[index] for index in mine])
        return
    with ledgers.claimed(task, meeting, used, len(whole), tasks - 1) as number:
        for index, run in enumerate(whole):
            invoke_if(number, index, [run])


def _parameter(name: str, tensor: TensorType) -> Any:
    return T.arg(name, T.buffer(tuple(tirx.IntImm("int64", d) for d in tensor.shape), tensor.dtype))
