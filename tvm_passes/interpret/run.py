"""Runs a lowered program in numpy: step by step, phase by phase, with every access checked.

No kernel is compiled, and none is scheduled: what a kernel does is what its workload means
(`schedules.reference`), and where it reads and writes is in its tables. The program runs several times over
one arena, as it does in a session: whatever it relies on must still be there the next time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ..array import Array
from ..lowered import Lowered
from ..lowering.context import Invocation, KernelCall, Phase
from ..node import origin
from .arguments import State
from .errors import ProgramError, Where
from .generic import run_generic
from .memories import Memories
from .places import REMAINS, Places
from .races import Races
from .stores import Accesses, run_kernel

NO_NAMES: Mapping[str, str] = MappingProxyType({})


def run_program(
    lowered: Lowered, inputs: Sequence[Array], runs: int = 2, node_of_var: Mapping[str, str] = NO_NAMES
) -> list[Array]:
    """The outputs of a program, interpreted `runs` times over one arena.

    node_of_var: names of the model's nodes by those of variables: what tensors are called in messages.
    Raises ProgramError where a step reads what nobody wrote or what is no longer there, writes outside of its
    tensor, or meets another task, and where a later run gives other bits than the first;
    InterpretationError for an operator that cannot be interpreted.
    """
    _check_inputs(lowered, inputs)
    state = State(Memories(lowered, inputs), Places(lambda name: node_of_var.get(origin(name), name)))
    first: list[Array] = []
    for number in range(runs):
        if number:
            state.memories.next_run()
        for call in lowered.calls:
            _run_call(state, call)
        outputs = state.memories.outputs()
        _check_outputs(state, lowered)
        if not number:
            first = outputs
        for index, (one, other) in enumerate(zip(first, outputs, strict=True)):
            if one.tobytes() != other.tobytes():
                where = Where("the program", "main", f"output {index}")
                raise ProgramError(where, f"run {number + 1} gives other values than the first")
    return first


def _check_inputs(lowered: Lowered, inputs: Sequence[Array]) -> None:
    given = [(array.shape, str(array.dtype)) for array in inputs]
    wanted = [(tensor.shape, tensor.dtype) for tensor in lowered.inputs]
    if given != wanted:
        raise ValueError(f"inputs of {given} for a program of {wanted}")


def _check_outputs(state: State, lowered: Lowered) -> None:
    for index in range(len(lowered.outputs)):
        holds = state.memories["output", index].holds
        assert holds is not None
        if (holds == REMAINS).any():
            word = int(np.flatnonzero(holds == REMAINS)[0])
            raise ProgramError(Where("the program", "main", f"output {index}"), f"nobody writes word {word}")


def _run_call(state: State, call: KernelCall) -> None:
    step = f"{call.record.kind} of {call.record.stage}"
    for phase in call.phases:
        _run_phase(state, phase, step)


def _run_phase(state: State, phase: Phase, step: str) -> None:
    races = Races(state.memories, state.places) if len(phase) > 1 else None
    for number, run in enumerate(phase):
        for invocation in run:
            where = Where(step, invocation.symbol)
            accesses = _run(state, invocation, where)
            if races is not None:
                races.note(number, accesses, where)


def _run(state: State, invocation: Invocation, where: Where) -> Accesses:
    if invocation.kernel is None:
        return run_generic(state, invocation, where)
    return run_kernel(state, invocation, where)
