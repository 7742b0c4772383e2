"""A planned program beside the module that was compiled."""

from __future__ import annotations

from collections.abc import Mapping

from tvm.ir import IRModule

from ..lowered import Lowered
from ..verify import difference, has_steps, on_device, random_inputs, run_module
from .run import NO_NAMES, run_program


def verify_program(
    before: IRModule, lowered: Lowered, node_of_var: Mapping[str, str] = NO_NAMES, seed: int = 0
) -> str | None:
    """Interpret the program on random inputs, and run the module on them; what differs, or None.

    Raises ProgramError, InterpretationError.
    """
    inputs = random_inputs(before, seed)
    expected, found = run_module(before, on_device(inputs)), run_program(lowered, inputs, 2, node_of_var)
    return difference(expected, found, has_steps(before))
