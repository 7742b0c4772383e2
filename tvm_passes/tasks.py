"""What of a lowered program can be tuned: its distinct workloads, with the addresses they are called with."""

from __future__ import annotations

from math import prod

import numpy as np

from schedules.emit import UNBOUNDED
from schedules.tuning.task import Task, merge

from .array import Array
from .constant_pool import ALIGNMENT
from .lowered import Lowered
from .lowering.context import Invocation
from .lowering.program import TensorType
from .placement import Address

_WEIGHTS = "k"


def tasks_of(lowered: Lowered) -> list[Task]:
    """One task for every workload of the program; operators without a template have none."""
    starts, size = _memory(lowered)
    return merge(
        _task(lowered, invocation, starts, size)
        for call in lowered.calls
        for invocation in call.invocations
        if invocation.kernel is not None
    )


def _memory(lowered: Lowered) -> tuple[dict[tuple[str, int], int], int]:
    """The arena, inputs and outputs one after the other: where each starts, and the size of all."""
    sizes = {("arena", 0): lowered.arena_bytes}
    for region, tensors in (("input", lowered.inputs), ("output", lowered.outputs)):
        sizes |= {(region, index): _bytes(tensor) for index, tensor in enumerate(tensors)}
    starts, end = {}, 0
    for key, size in sizes.items():
        starts[key] = end
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return starts, end


def _bytes(tensor: TensorType) -> int:
    return int(prod(tensor.shape) * np.dtype(tensor.dtype).itemsize)


def _task(
    lowered: Lowered,
    invocation: Invocation,
    starts: dict[tuple[str, int], int],
    memory_bytes: int,
) -> Task:
    kernel = invocation.kernel
    assert kernel is not None
    constants: dict[str, Array] = {}
    memory: dict[str, int] = {}
    for (name, (dtype, extent)), address in zip(kernel.buffers.items(), invocation.arguments, strict=True):
        if address.region != "constants":
            memory[name] = starts[address.region, address.index] + address.offset
        elif name != _WEIGHTS:
            constants[name] = _content(lowered.constants, address, dtype, extent)
    return Task(
        workload=kernel.workload,
        threads=kernel.threads,
        calls=1,
        constants=constants,
        memory=memory,
        memory_bytes=memory_bytes,
        constant_bytes=lowered.constants.nbytes,
    )


def _content(constants: Array, address: Address, dtype: str, extent: int) -> Array:
    """What an argument points to; where its end is not known, all that follows."""
    content = constants[address.offset :]
    if extent < UNBOUNDED:
        content = content[: extent * np.dtype(dtype).itemsize]
    return np.array(content.view(dtype))
