"""Small tasks of every kind: random tables inside a memory large enough for them."""

from __future__ import annotations

import numpy as np
import tvm

import schedules
from schedules.emit import UNBOUNDED
from schedules.tuning.task import Task
from schedules.workload import (
    Depthwise,
    Elementwise,
    EpilogueOp,
    GlobalPool,
    IndexedConv,
    WindowPool,
    WinogradInput,
    WinogradOutput,
    Workload,
)
from tests.schedules.harness import executed_targets

TARGET: tvm.target.Target = executed_targets()[0]
LANES = schedules.machine_of(TARGET).lanes
BIAS_RELU = (EpilogueOp("add_vector"), EpilogueOp("relu"))
POINTWISE = IndexedConv(12, 3, LANES, 50, epilogue=BIAS_RELU)

WORKLOADS: tuple[Workload, ...] = (
    POINTWISE,
    IndexedConv(2 * LANES, 3, LANES, 50),
    IndexedConv(8, 4, LANES, 9, tables=2),
    Depthwise(2, LANES, 1, 6, 5, 5 * LANES, LANES, tuple(range(0, 9 * LANES, LANES)), epilogue=BIAS_RELU),
    WindowPool(2, LANES, 1, 4, 7, 3, 3),
    GlobalPool("avg", 3, LANES, 1, 49),
    Elementwise(3, LANES, 20, epilogue=(EpilogueOp("relu"),)),
    WinogradInput(2, 2, LANES, 5, 4 * LANES, LANES),
    WinogradOutput(2, 2, LANES, 5),
)
"""One of every template but the normalizations, and convolutions of whole blocks and of groups."""

_REACH = 1000
"""Offsets in tables are smaller, and a few of them are added."""
_READ_BYTES = 4 * 16 * _REACH
_WRITTEN_BYTES = 4 * 32 * _REACH


def task_of(workload: Workload, calls: int = 1, seed: int = 0) -> Task:
    """The workload with random tables; its output lies apart from what is read."""
    generator = np.random.default_rng(seed)
    kernel = schedules.build(workload, TARGET)
    constants, memory = {}, {}
    for name, (dtype, extent) in kernel.buffers.items():
        if extent == UNBOUNDED:
            memory[name] = _READ_BYTES if name == "y" else 0
        elif name == "yo":
            constants[name] = np.arange(extent, dtype=np.int32) * (kernel.buffers["yp"][1] * workload.lanes)
        elif name == "yp":
            constants[name] = np.arange(extent, dtype=np.int32) * workload.lanes
        elif name != "k":
            high = _REACH if dtype == "int32" else 2
            constants[name] = generator.integers(1, high, extent).astype(dtype)
    return Task(workload, 1, calls, constants, memory, _READ_BYTES + _WRITTEN_BYTES, 0)
