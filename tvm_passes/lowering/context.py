"""What every lowering rule needs: kernels by workload, tables and weights in the constant pool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import attrs
import numpy as np
import tvm
from tvm import tirx

import schedules
from schedules.generic import schedule_generic
from schedules.sharing import tasks_of
from schedules.template import Kernel
from schedules.tuning.records import NO_RECORDS, Records, describe
from schedules.workload import Workload

from ..array import Array
from ..compiled import KernelRecord
from ..constant_pool import ConstantPool
from ..forms import ANY_FORM, Forms
from ..placement import Address
from .touched import Touched

ARENA = Address("arena")


class LoweringError(Exception):
    """A stage that cannot be turned into a kernel; the message names it."""


class OperatorError(LoweringError):
    """Operators of the model that have no kernel.

    nodes:  the variables they are bound to, or, once they are known, the model's nodes.
    reason: one line without a name of ours or of TVM; "" where a user would understand nothing.
    """

    def __init__(self, nodes: Iterable[str], reason: str = "") -> None:
        self.nodes = tuple(dict.fromkeys(nodes))
        self.reason = reason
        named = ", ".join(f"'{node}'" for node in self.nodes)
        super().__init__(f"no kernel for {named}" + (f": {reason}" if reason else ""))


@contextmanager
def compiling(*nodes: str) -> Iterator[None]:
    """What TVM refuses inside is an OperatorError of these nodes; it says nothing that a user understands."""
    try:
        yield
    except LoweringError:
        raise
    except Exception as error:  # TVM raises RuntimeError, ValueError, TypeError, IndexError, its own …
        raise OperatorError(nodes) from error


@attrs.frozen(eq=False)
class GenericKernel:
    """An operator without a template: its function is scheduled when it is asked for.

    node:     of the model, that it computes.
    operator: as TVM legalizes it.
    """

    node: str
    operator: tirx.PrimFunc
    machine: schedules.MachineParameters
    threads: int

    @property
    def digest(self) -> str:
        """Of all that shapes the function."""
        text = f"{tvm.ir.save_json(self.operator)} {self.machine} {self.threads}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @cached_property
    def func(self) -> tirx.PrimFunc:
        """The function. Raises OperatorError."""
        with compiling(self.node):
            return schedule_generic(self.operator, self.machine, self.threads)

    @property
    def tasks(self) -> int:
        """How many tasks share it."""
        return 1 if self.threads == 1 else tasks_of(self.func)


@attrs.frozen(eq=False)
class Invocation:
    """A function and the addresses it is called with.

    touched:   the tensors behind these addresses.
    scheduled: the function, which is made when it is asked for.
    """

    symbol: str
    arguments: tuple[Address, ...]
    touched: Touched
    scheduled: Kernel | GenericKernel

    @property
    def kernel(self) -> Kernel | None:
        """What the function is, unless it came without a template."""
        return self.scheduled if isinstance(self.scheduled, Kernel) else None

    @property
    def func(self) -> tirx.PrimFunc:
        """The function. Raises OperatorError for an operator that cannot be scheduled."""
        return self.scheduled.func

    @property
    def tasks(self) -> int:
        """How many tasks share it."""
        return self.scheduled.tasks


Run = tuple[Invocation, ...]
"""One invocation, which tasks may share, or several that one task makes in order."""
Phase = tuple[Run, ...]
"""Runs that may be made at the same time."""


def tasks_of_run(run: Run) -> int:
    """How many tasks share it."""
    tasks = max(invocation.tasks for invocation in run)
    assert len(run) == 1 or tasks == 1, "tasks do not wait for each other within a run"
    return tasks


def side_by_side(invocations: Iterable[Invocation]) -> Phase:
    """They may run at the same time."""
    return tuple((invocation,) for invocation in invocations)


@attrs.frozen(eq=False)
class KernelCall:
    """One step of the program: what is invoked, phase by phase, and what it stands for."""

    phases: tuple[Phase, ...]
    record: KernelRecord

    @property
    def invocations(self) -> list[Invocation]:
        """In an order in which they may run one after the other."""
        return [invocation for phase in self.phases for run in phase for invocation in run]

    def with_each(self, change: Callable[[Invocation], Invocation]) -> KernelCall:
        """The step with every invocation changed."""
        phases = (tuple(tuple(map(change, run)) for run in phase) for phase in self.phases)
        return KernelCall(tuple(phases), self.record)


@attrs.define(eq=False)
class LoweringContext:
    """Shared state of lowering one module.

    followed: names of the kernels whose decisions come from tuning records.
    refused:  records that no longer fit, with the reason; the defaults stand in.
    """

    target: tvm.target.Target
    threads: int
    forms: Forms = ANY_FORM
    records: Records = NO_RECORDS
    pool: ConstantPool = attrs.Factory(ConstantPool)
    kernels: dict[tuple[Workload, int], Kernel] = attrs.Factory(dict)
    followed: set[str] = attrs.Factory(set)
    refused: list[str] = attrs.Factory(list)

    def kernel(self, workload: Workload, threads: int | None = None) -> Kernel:
        """The kernel for a workload, scheduled once; `threads` if not as many as the program has."""
        threads = threads or self.threads
        if (workload, threads) not in self.kernels:
            kernel = self._recorded(workload, threads) or schedules.build(workload, self.target, threads)
            self.kernels[workload, threads] = kernel
        return self.kernels[workload, threads]

    def _recorded(self, workload: Workload, threads: int) -> Kernel | None:
        """The kernel of the workload's tuning record; None if it has none that fits."""
        decisions = self.records.decisions(workload, threads)
        if decisions is None:
            return None
        try:
            kernel = schedules.build(workload, self.target, threads, decisions)
        except schedules.ScheduleError as error:
            self.refused.append(f"{describe(workload)}: {error}")
            return None
        self.followed.add(kernel.name)
        return kernel

    def table(self, values: Array) -> Address:
        """Store element offsets as int32; their address."""
        flat = np.asarray(values, np.int64).reshape(-1)
        if flat.size and int(np.abs(flat).max()) > np.iinfo(np.int32).max:
            raise LoweringError("the arena exceeds 2^31 elements: compile for a smaller batch")
        return Address("constants", self.pool.add(flat.astype(np.int32)))

    def constant(self, values: Array) -> Address:
        """Store an array as it is; its address."""
        return Address("constants", self.pool.add(values))

    def call(
        self, kernel: Kernel, arguments: Mapping[str, Address], touched: Touched, record: KernelRecord
    ) -> KernelCall:
        """A step that invokes one kernel, with arguments by name."""
        return KernelCall((side_by_side([self.invoke(kernel, arguments, touched)]),), record)

    def invoke(self, kernel: Kernel, arguments: Mapping[str, Address], touched: Touched) -> Invocation:
        """A kernel with arguments by name, and what it touches."""
        missing = [name for name in kernel.parameters if name not in arguments]
        if missing:
            raise LoweringError(f"{kernel.name}: no argument for {', '.join(missing)}")
        addresses = tuple(arguments[name] for name in kernel.parameters)
        return Invocation(kernel.name, addresses, touched, kernel)
