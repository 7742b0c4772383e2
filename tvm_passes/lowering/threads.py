"""Whether a program gains by several threads, modelled from what its steps compute and move."""

from __future__ import annotations

from collections.abc import Sequence

from schedules.machine import MachineParameters
from schedules.parallelism import HAND_OVER_CYCLES

from ..compiled import KernelRecord
from .context import KernelCall, tasks_of_run

_BYTES_PER_CYCLE = 16
"""What a core moves between its second cache and its registers, reading and writing."""
_CYCLES_WORTH_HELP = 500 * HAND_OVER_CYCLES
"""To claim work, and to see that nothing is left, takes about as long as to meet."""
_WORTH = 0.9
"""Share of one thread's cycles that must not be exceeded: the model is not that exact."""


def threads_pay(
    calls: Sequence[KernelCall], threads: int, machine: MachineParameters, launch_cycles: float
) -> bool:
    """Whether `calls`, lowered for several threads, are modelled to be faster than on one.

    launch_cycles: to hand a run to the threads.
    """
    alone = [_cycles(call.record, machine) for call in calls]
    together = sum(
        cycles / min(threads, _tasks(call)) + HAND_OVER_CYCLES * len(call.phases)
        for call, cycles in zip(calls, alone, strict=True)
    )
    return launch_cycles + together <= _WORTH * sum(alone)


def help_pays(call: KernelCall, threads: int, machine: MachineParameters) -> bool:
    """Whether a step is long enough for its tasks to help each other: looking for work takes time as well."""
    return threads > 1 and _cycles(call.record, machine) >= _CYCLES_WORTH_HELP * len(call.phases)


def _tasks(call: KernelCall) -> int:
    """How many tasks work at the same time."""
    return max(sum(map(tasks_of_run, phase)) for phase in call.phases)


def _cycles(record: KernelRecord, machine: MachineParameters) -> float:
    return record.macs / (machine.lanes * machine.fma_ports) + record.bytes / _BYTES_PER_CYCLE
