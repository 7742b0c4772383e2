"""The plan of a program whose workspace keeps within `Tiling.max_memory`.

Chains are chosen by what is alive at once, and only placing the tensors tells what the arena takes.
Place: the last step that sees Relax; see `layout`.
"""

from __future__ import annotations

import attrs
from tvm.ir import IRModule

from schedules.machine import MachineParameters

from .chains import NothingFitsError
from .forms import Forms
from .layout import Planner
from .lowering.context import LoweringError
from .lowering.program import with_barrier
from .tensors import Tensors
from .tiling import Tiling


class MemoryLimitError(LoweringError):
    """No program that was found fits into the memory it may take."""

    def __init__(self, limit: int, smallest: int) -> None:
        super().__init__(f"the smallest workspace found takes {smallest} bytes, {limit} are allowed")


def plan_within_memory(
    mod: IRModule, machine: MachineParameters, threads: int, forms: Forms, tiling: Tiling
) -> Tensors:
    """The fastest plan that fits: what is alive at once may leave gaps between tensors, then less must be.

    Where gaps are in the way of all others, the plan with the least alive is the last that is tried.
    Raises MemoryLimitError.
    """
    allowed = tiling.max_memory

    def plan(limit: int | None) -> tuple[Tensors, int]:
        within = attrs.evolve(tiling, max_memory=limit)
        planned = Planner(mod, machine.lanes, machine, threads, forms, within).run()
        return planned, with_barrier(planned.arena.bytes, threads)

    limit = allowed
    try:
        while True:
            planned, size = plan(limit)
            if allowed is None or limit is None or size <= allowed:
                return planned
            limit -= size - allowed
    except NothingFitsError as error:
        planned, size = plan(error.smallest)
        if allowed is None or size <= allowed:
            return planned
        raise MemoryLimitError(allowed, size) from None
