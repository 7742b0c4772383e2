"""A kernel with everything it needs to be called over and over: memory, tables, weights, a loop around it."""

from __future__ import annotations

import time
from math import ceil
from typing import Any

import attrs
import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

import schedules
from schedules.claims import shared_by, shared_bytes
from schedules.launch import launched
from schedules.registry import weights_shape
from schedules.template import Decisions, Kernel
from schedules.tuning.task import Task

_WEIGHTS = "k"
_ALIGNMENT = 64
_FAR_BYTES = 8 << 20
"""Weights so far apart are in no second cache when their turn comes."""

Bytes = NDArray[np.uint8]


class TimedKernel:
    """A task's kernel with some decisions, compiled for this machine.

    Weights are read from as far away as in the network: where its constants exceed the second cache, calls
    take turns with copies of them. Tensors stay where they are, as in a network where they were just written.
    """

    def __init__(self, task: Task, target: tvm.target.Target, decisions: Decisions) -> None:
        kernel = schedules.build(task.workload, target, task.threads, decisions)
        constants = _constants(task, kernel, target)
        self._constants = constants.tensor
        self._memory = _tensor(_memory(task.memory_bytes))
        self._shared = _tensor(np.zeros(shared_bytes(task.threads), np.uint8))
        module = _program(kernel, task, constants)
        library = tvm.compile(module, target=target, tir_pipeline=schedules.PIPELINE_NAME)
        self._main = library["main"]

    def seconds(self, calls: int) -> float:
        """Of one call, averaged over so many."""
        started = time.perf_counter()
        self._main(self._memory, self._constants, self._shared, 0, calls)
        return (time.perf_counter() - started) / calls

    def memory(self) -> NDArray[np.float32]:
        """What one call makes of the initial memory."""
        self._memory.copyfrom(_memory(self._memory.shape[0]))
        self.seconds(1)
        return np.asarray(self._memory.numpy()).view(np.float32)


@attrs.frozen(eq=False)
class _Constants:
    """The constants, where each argument starts in them, the size of a copy of the weights, and how many."""

    tensor: Any
    offsets: dict[str, int]
    stride: int
    copies: int


def _constants(task: Task, kernel: Kernel, target: tvm.target.Target) -> _Constants:
    parts = {name: _padded(content) for name, content in task.constants.items()}
    shape = weights_shape(task.workload)
    stride, copies = 0, 1
    if shape is not None:
        weights = np.random.default_rng(0).standard_normal(shape, np.float32) / np.float32(shape[1] ** 0.5)
        parts[_WEIGHTS] = _padded(schedules.pack_weights(kernel, weights))
        stride = parts[_WEIGHTS].size
        if task.constant_bytes > schedules.machine_of(target).l2_bytes:
            copies = ceil(min(task.constant_bytes, _FAR_BYTES) / stride)
    ends = np.cumsum([0, *(part.size for part in parts.values())])
    offsets = {name: int(end) for name, end in zip(parts, ends, strict=False)}
    # The weights are last, and their copies follow.
    last = [parts[_WEIGHTS]] * (copies - 1) if _WEIGHTS in parts else [np.zeros(_ALIGNMENT, np.uint8)]
    return _Constants(_tensor(np.concatenate([*parts.values(), *last])), offsets, stride, copies)


def _program(kernel: Kernel, task: Task, constants: _Constants) -> tvm.IRModule:
    """`main(memory, constants, shared, first, last)`: call i reads copy i % copies of the weights."""
    callee = tvm.ir.GlobalVar(kernel.name)
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        sizes = {
            "memory": task.memory_bytes,
            "constants": constants.tensor.shape[0],
            "shared": shared_bytes(task.threads),
        }
        tensors, tables, shared = (
            T.arg(name, T.buffer((tirx.IntImm("int64", size),), "uint8")) for name, size in sizes.items()
        )
        first, last = T.arg("first", T.int32()), T.arg("last", T.int32())
        phases, ledgers = shared_by(task.threads, lambda further: T.address_of(shared[further]))

        def pointer(name: str, call: Any) -> Any:
            if name in task.memory:
                return T.address_of(tensors[tirx.IntImm("int64", task.memory[name])])
            offset = tirx.IntImm("int64", constants.offsets[name])
            if name == _WEIGHTS:
                copy = tirx.Cast("int64", call % constants.copies)
                offset = offset + copy * tirx.IntImm("int64", constants.stride)
            return T.address_of(tables[offset])

        def invoke(call: Any, *sharing: Any) -> None:
            arguments = [*(pointer(name, call) for name in kernel.parameters), *sharing]
            T.evaluate(tvm.ir.Call(callee, arguments, ret_ty="int32"))

        if task.threads == 1:
            with T.serial(first, last) as call:
                invoke(call)
        else:
            with launched(), T.parallel(0, task.threads) as number:
                phases.enter(number)
                with T.serial(first, last) as call, phases.units(number, kernel.tasks) as unit:
                    if kernel.tasks == 1:
                        invoke(call)
                    else:
                        invoke(call, *ledgers.arguments(unit, phases.round(number), 0))
    return tvm.IRModule({callee: kernel.func, tvm.ir.GlobalVar("main"): builder.get()})


def _memory(size: int) -> Bytes:
    """Numbers between 1/2 and 3/2: no operation of an epilogue overflows, none is slow on denormals."""
    values = np.random.default_rng(1).uniform(0.5, 1.5, 4093).astype(np.float32)
    return np.resize(values.view(np.uint8), size)


def _padded(content: NDArray[Any]) -> Bytes:
    raw = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
    return np.pad(raw, (0, -raw.size % _ALIGNMENT))


def _tensor(array: Bytes) -> Any:
    """A tensor of TVM's own, which is aligned as kernels expect."""
    return tvm.runtime.tensor(array)
