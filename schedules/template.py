"""The contract between workloads and the templates that turn them into kernels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

import attrs
from tvm import tirx

from schedules.machine import MachineParameters
from schedules.sharing import for_tasks, tasks_of
from schedules.workload import Workload

Decisions = Mapping[str, int]
"""The named choices of a schedule; the unit of tuning."""


class ScheduleError(ValueError):
    """A workload that no template takes, or decisions that a template cannot follow."""


@attrs.frozen
class Kernel:
    """One scheduled function and how to call it.

    name:       stable: the same workload and decisions give the same name, others give another.
    kind:       name of the template.
    workload:   what it computes.
    scheduled:  makes `func`, when it is asked for: a program can be planned and interpreted without.
    buffers:    what each argument points to, by name in their order: dtype and extent (UNBOUNDED for what
                lies in an arena). Tables are int32. Common to all kernels are `x` (input), `yo`
                (output block offsets), `yp` (output pixel offsets), `y` (output) and, for step i of the
                epilogue, `e{i}` (operand) with its tables `e{i}_rb` (per block) or `e{i}_rl` (per
                channel) and `e{i}_rp` (per pixel).
    decisions:  the choices it was scheduled with.
    threads:    of the program it was asked for; what its tuning records are found by, besides the workload.
    """

    name: str
    kind: str
    workload: Workload
    scheduled: Callable[[], tirx.PrimFunc] = attrs.field(eq=False, repr=False)
    buffers: Mapping[str, tuple[str, int]]
    decisions: Decisions
    threads: int = 1

    @cached_property
    def func(self) -> tirx.PrimFunc:
        """Private; its parameters are raw pointers, then the task's number if several share it.

        See `schedules/sharing.py`.
        """
        return self.scheduled()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the arguments, in order."""
        return tuple(self.buffers)

    @property
    def tasks(self) -> int:
        """How many tasks share it."""
        return 1 if self.decisions.get("threads", 1) == 1 else tasks_of(self.func)


class Template(Protocol):
    """Schedules one kind of workload.

    kind:    the template's name, the first part of its kernels' names.
    version: raised when the same decisions mean another kernel than before; tuning records of other versions
             are not followed.
    """

    kind: str
    version: int

    def applies(self, workload: Workload, machine: MachineParameters) -> str | None:
        """None if the template takes the workload, else why not."""

    def defaults(self, workload: Any, machine: MachineParameters, threads: int) -> Decisions:
        """Decisions from the machine parameters alone, for use without a tuning record."""

    def candidates(
        self, workload: Any, machine: MachineParameters, threads: int
    ) -> Mapping[str, tuple[int, ...]]:
        """For every decision the values worth trying; `schedule` need not follow every combination."""

    def schedule(self, workload: Any, decisions: Decisions, machine: MachineParameters) -> Kernel:
        """The kernel. Raises ScheduleError for decisions that do not fit the workload."""


def kernel_of(
    kind: str,
    shape: str,
    workload: Workload,
    decisions: Decisions,
    func: tirx.PrimFunc | Callable[[], tirx.PrimFunc],
    buffers: Mapping[str, tuple[str, int]],
) -> Kernel:
    """The kernel of a template, named `kind_shape[_epilogue]_digest`; the digest covers all that shapes it.

    shape: the workload in a few numbers, for people.
    func:  or what schedules it when it is asked for; its parallel loops are shared between as many tasks as
           the decision `threads` says.
    """
    text = repr((workload, sorted(decisions.items())))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    steps = [op.kind for op in workload.epilogue]

    def scheduled() -> tirx.PrimFunc:
        made = func if isinstance(func, tirx.PrimFunc) else func()
        return for_tasks(made, decisions.get("threads", 1))

    return Kernel(
        name="_".join((kind, shape, *steps, digest)),
        kind=kind,
        workload=workload,
        scheduled=scheduled,
        buffers=dict(buffers),
        decisions=decisions,
    )


def tiles(total: int, tile: int) -> list[tuple[int, int, int]]:
    """Cut `range(total)` into runs of equal tiles: [(start, count, tile), ...], count a multiple of tile.

    What does not fill a tile becomes a run with one smaller tile, so nothing is padded.
    """
    if total <= 0 or tile <= 0:
        raise ScheduleError(f"cannot cut {total} elements into tiles of {tile}")
    whole = total - total % tile
    runs = [(0, whole, tile)] if whole else []
    if total % tile:
        runs.append((whole, total % tile, total % tile))
    return runs


def divisors(number: int, limit: int) -> tuple[int, ...]:
    """The divisors of `number` up to `limit`, ascending; always 1."""
    return tuple(d for d in range(1, max(1, min(number, limit)) + 1) if number % d == 0)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is at most `limit`; 1 if there is none."""
    return divisors(number, limit)[-1]


def doublings(limit: int) -> tuple[int, ...]:
    """1, 2, 4, … up to `limit`, and `limit` itself."""
    return tuple(sorted({1 << power for power in range(limit.bit_length())} | {limit}))
