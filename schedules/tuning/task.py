"""What is tuned: a workload with the addresses that a network calls its kernel with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from schedules.workload import Workload


@attrs.frozen(eq=False)
class Task:
    """One distinct workload of the networks that are tuned.

    threads:        of the program; its tasks share the kernel where that pays.
    calls:          how often a run of every network calls its kernel.
    constants:      contents of the arguments that lie in the network's constants, but for the weights, whose
                    order depends on the decisions: tables and vectors of the epilogue, by argument.
    memory:         where the other arguments lie, in bytes from the start of a common memory, by argument.
    memory_bytes:   size of that memory: the arena, inputs and outputs.
    constant_bytes: size of the network's constants: whether weights come from a cache or from memory.
    """

    workload: Workload
    threads: int
    calls: int
    constants: Mapping[str, NDArray[np.generic]]
    memory: Mapping[str, int]
    memory_bytes: int
    constant_bytes: int


def merge(tasks: Iterable[Task]) -> list[Task]:
    """One task a workload, with the addresses of the first and the calls of all."""
    merged: dict[tuple[Workload, int], Task] = {}
    for task in tasks:
        key = (task.workload, task.threads)
        known = merged.get(key)
        merged[key] = task if known is None else attrs.evolve(known, calls=known.calls + task.calls)
    return list(merged.values())
