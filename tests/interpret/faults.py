"""Programs with a fault planted in what they hold, and what interpreting them says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np

from tests.interpret.programs import Array
from tvm_passes.interpret import ProgramError, run_program
from tvm_passes.lowered import Lowered
from tvm_passes.lowering.context import Invocation, KernelCall, Phase
from tvm_passes.placement import Address

Change = Callable[[Array], Array]
Chosen = Callable[[KernelCall, Invocation], bool]


def verdict(lowered: Lowered, inputs: Sequence[Array], expected: Sequence[Array]) -> str:
    """What interpreting a program says about it: an error's message, or whether its values are right."""
    try:
        results = run_program(lowered, inputs)
    except ProgramError as error:
        return str(error)
    for got, want in zip(results, expected, strict=True):
        if not np.allclose(got, want, rtol=1e-4, atol=1e-4):
            return "other values"
    return "right"


def of_kind(kind: str, number: int = 0) -> Chosen:
    """The invocations of a kernel of a kind in the step of that number, of those that have such kernels."""
    seen: list[KernelCall] = []

    def chosen(call: KernelCall, invocation: Invocation) -> bool:
        if invocation.kernel is None or invocation.kernel.kind != kind:
            return False
        if call not in seen:
            seen.append(call)
        return seen.index(call) == number

    return chosen


def with_table(name: str, change: Change, chosen: Chosen) -> Callable[[Lowered], Lowered]:
    """Plants another table in the first chosen invocation that has one of this name."""

    def plant(lowered: Lowered) -> Lowered:
        blob, done = [lowered.constants], []

        def changed(call: KernelCall, invocation: Invocation) -> Invocation:
            kernel = invocation.kernel
            is_chosen = chosen(call, invocation)  # asked of all: it counts steps
            if done or not is_chosen or kernel is None or name not in kernel.parameters:
                return invocation
            done.append(invocation)
            number, (_, extent) = kernel.parameters.index(name), kernel.buffers[name]
            start = invocation.arguments[number].offset
            table = lowered.constants[start : start + 4 * extent].view(np.int32).copy()
            raw = np.asarray(change(table), np.int32).view(np.uint8)
            address = Address("constants", sum(len(part) for part in blob))
            blob.append(np.concatenate([raw, np.zeros(-raw.size % 64, np.uint8)]))
            arguments = (*invocation.arguments[:number], address, *invocation.arguments[number + 1 :])
            return attrs.evolve(invocation, arguments=arguments)

        calls = each(lowered, changed)
        assert done, f"no invocation with a table {name} was chosen"
        return attrs.evolve(lowered, calls=calls, constants=np.concatenate(blob))

    return plant


def with_address(
    name: str, change: Callable[[Address], Address], chosen: Chosen
) -> Callable[[Lowered], Lowered]:
    """Plants another address in all chosen invocations."""

    def plant(lowered: Lowered) -> Lowered:
        done = []

        def changed(call: KernelCall, invocation: Invocation) -> Invocation:
            if not chosen(call, invocation):
                return invocation
            assert invocation.kernel is not None
            done.append(invocation)
            number = invocation.kernel.parameters.index(name)
            address = change(invocation.arguments[number])
            arguments = (*invocation.arguments[:number], address, *invocation.arguments[number + 1 :])
            return attrs.evolve(invocation, arguments=arguments)

        calls = each(lowered, changed)
        assert done, "no invocation was chosen"
        return attrs.evolve(lowered, calls=calls)

    return plant


def without(chosen: Chosen) -> Callable[[Lowered], Lowered]:
    """Leaves out all chosen invocations."""

    def plant(lowered: Lowered) -> Lowered:
        left_out = []

        def kept(call: KernelCall, phase: Phase) -> Iterator[tuple[Invocation, ...]]:
            for run in phase:
                rest = tuple(invocation for invocation in run if not chosen(call, invocation))
                left_out.extend(run[len(rest) :])
                if rest:
                    yield rest

        calls = tuple(
            attrs.evolve(call, phases=tuple(tuple(kept(call, phase)) for phase in call.phases))
            for call in lowered.calls
        )
        assert left_out, "no invocation was chosen"
        return attrs.evolve(lowered, calls=calls)

    return plant


def each(lowered: Lowered, change: Callable[[KernelCall, Invocation], Invocation]) -> tuple[KernelCall, ...]:
    """The program's steps with every invocation changed."""
    calls = []
    for call in lowered.calls:

        def of_call(invocation: Invocation, call: KernelCall = call) -> Invocation:
            return change(call, invocation)

        calls.append(call.with_each(of_call))
    return tuple(calls)


def phases_at_once(lowered: Lowered) -> Lowered:
    """All phases of a step made at the same time, as if nobody waited."""

    def merged(call: KernelCall) -> Any:
        return attrs.evolve(call, phases=(tuple(run for phase in call.phases for run in phase),))

    return attrs.evolve(lowered, calls=tuple(map(merged, lowered.calls)))
