"""A network as a program: what `lower` makes and what is compiled, interpreted and reported from."""

from __future__ import annotations

from functools import cached_property

import attrs
from tvm.ir import IRModule

from .array import Array
from .compiled import KernelRecord
from .lowering.context import KernelCall
from .lowering.program import TensorType, build_program


@attrs.frozen(eq=False)
class Lowered:
    """The program as TIR, its constants, and what each step calls.

    threads:         how many share the steps.
    while_awake:     only where runs follow each other: the program is too small to wake threads for it.
    chain_gain:      how many times as fast its chains are modelled to make it.
    zero_bytes:      at the start of the arena, that nobody writes.
    helped:          of every step, whether its tasks help each other.
    refused_records: tuning records that no longer fit their workload, with the reason.
    """

    constants: Array
    arena_bytes: int
    arena_lower_bound_bytes: int
    calls: tuple[KernelCall, ...]
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    threads: int
    chain_gain: float
    zero_bytes: int
    helped: tuple[bool, ...] = ()
    refused_records: tuple[str, ...] = ()
    while_awake: bool = False

    @cached_property
    def module(self) -> IRModule:
        """The program as TIR: here its kernels are scheduled. Raises OperatorError."""
        return build_program(
            self.calls,
            self.arena_bytes,
            self.constants.size,
            self.inputs,
            self.outputs,
            self.threads,
            self.helped,
        )

    def nodes_of(self, function: str) -> tuple[str, ...]:
        """The model's nodes that a function computes."""
        stages = (
            call.record.stage
            for call in self.calls
            if any(invocation.symbol == function for invocation in call.invocations)
        )
        return tuple(node for stage in stages for node in stage.split(" + "))

    @property
    def steps(self) -> tuple[KernelRecord, ...]:
        """What each step stands for."""
        return tuple(call.record for call in self.calls)
