"""What every lowering rule needs: kernels by workload, tables and weights in the constant pool."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import tvm
from tvm import tirx

import schedules
from schedules.template import Kernel
from schedules.workload import Workload

from ..array import Array
from ..compiled import KernelRecord
from ..constant_pool import ConstantPool
from ..placement import Address

ARENA = Address("arena")


class LoweringError(Exception):
    """A stage that cannot be turned into a kernel; the message names it."""


@attrs.frozen(eq=False)
class Invocation:
    """A function and the addresses it is called with."""

    symbol: str
    func: tirx.PrimFunc
    arguments: tuple[Address, ...]


@attrs.frozen(eq=False)
class KernelCall:
    """One step of the program: what is invoked, in order, and what it stands for."""

    invocations: tuple[Invocation, ...]
    record: KernelRecord


@attrs.define(eq=False)
class LoweringContext:
    """Shared state of lowering one module."""

    target: tvm.target.Target
    threads: int
    pool: ConstantPool = attrs.Factory(ConstantPool)
    kernels: dict[Workload, Kernel] = attrs.Factory(dict)

    def kernel(self, workload: Workload) -> Kernel:
        """The kernel for a workload, scheduled once."""
        if workload not in self.kernels:
            self.kernels[workload] = schedules.build(workload, self.target, self.threads)
        return self.kernels[workload]

    def table(self, values: Array) -> Address:
        """Store element offsets as int32; their address."""
        flat = np.asarray(values, np.int64).reshape(-1)
        if flat.size and int(np.abs(flat).max()) > np.iinfo(np.int32).max:
            raise LoweringError("the arena exceeds 2^31 elements: compile for a smaller batch")
        return Address("constants", self.pool.add(flat.astype(np.int32)))

    def constant(self, values: Array) -> Address:
        """Store an array as it is; its address."""
        return Address("constants", self.pool.add(values))

    def call(self, kernel: Kernel, arguments: Mapping[str, Address], record: KernelRecord) -> KernelCall:
        """A step that invokes one kernel, with arguments by name."""
        return KernelCall((self.invoke(kernel, arguments),), record)

    def invoke(self, kernel: Kernel, arguments: Mapping[str, Address]) -> Invocation:
        """A kernel with arguments by name."""
        missing = [name for name in kernel.parameters if name not in arguments]
        if missing:
            raise LoweringError(f"{kernel.name}: no argument for {', '.join(missing)}")
        return Invocation(kernel.name, kernel.func, tuple(arguments[n] for n in kernel.parameters))
