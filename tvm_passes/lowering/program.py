"""The program: one function that runs a compiled network's steps in order over its arena.

`main(arena u8[], constants u8[], inputs..., outputs..., first i32, last i32)` calls, for every step i with
first <= i < last, its kernel with pointers into these memories. Running a range of steps is how a
network is profiled and inspected; running all of them costs no more than the branches.

With several threads, a run is handed to TVM's pool once. Each of `threads` tasks walks through all steps: it
calls the kernels that tasks share with its number, and makes those of the other runs that fall to it. Before
each step it waits for the others, unless this step and the one before fall to the first task alone:

    launch { step 0 { for task in parallel(threads) { wait; kernel(…, task); arrive } } step 1 { … } … }

Within a step that is long enough, a task that is through with its share helps others (`schedules/claims.py`).
The memory of the barrier (`schedules/launch.py`) and of the ledgers is the end of the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, islice
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

        def run(phase: Phase, before: Phase, after: Phase, helps: bool) -> None:
            if threads == 1:
                for invocation in chain.from_iterable(phase):
                    invoke(invocation)
                return
            with T.parallel(0, threads) as task:
                if not _is_alone(before, phase):
                    barrier.wait(task)
                _share(phase, task, barrier.round(task) if helps else NO_LEDGER, ledgers, invoke)
                if not _is_alone(phase, after):
                    barrier.arrive(task)

        start = arena_bytes - shared_bytes(threads)
        barrier, ledgers = shared_by(threads, lambda further: T.address_of(arena[start + further]))
        with launched(threads):
            steps = [call.phases for call in calls]
            phases = [(), *(phase for step in steps for phase in step), ()]
            around = iter(zip(phases, phases[1:], phases[2:], strict=False))
            for number, step in enumerate(steps):
                with T.If(tirx.all(first <= number, number < last)), T.Then():
                    for before, phase, after in islice(around, len(step)):
                        run(phase, before, after, bool(helped) and helped[number])
    return builder.get()


def _is_alone(*phases: Phase) -> bool:
    """All falls to the first task; there is nothing before the program and behind it."""
    return all(not phase or (len(phase) == 1 and tasks_of_run(phase[0]) == 1) for phase in phases)


def _share(phase: Phase, task: Any, meeting: Any, ledgers: Ledgers, invoke: Callable[..., None]) -> None:
    """A task takes its part of the invocations that are shared, and of the other runs.

    meeting: the barrier's round, or NO_LEDGER.
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
