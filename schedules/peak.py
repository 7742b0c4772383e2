"""The arithmetic peak of one core, measured: the floor that every convolution is compared with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import attrs
import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.emit import store_vectors
from schedules.machine import MachineParameters, machine_of
from schedules.pipeline import PIPELINE_NAME

_STEPS = 200_000
_REPEATS = 15


def fma_module(machine: MachineParameters, chains: int, steps: int, tasks: int = 1) -> tvm.IRModule:
    """`main(x: float32[tasks, chains, lanes])`: `steps` dependent multiply-adds in each of `chains` vector
    registers, by every task at the same time.

    The result is stored to x, so that nothing is dead; memory is touched only before and after.
    """
    lanes = machine.lanes
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        x = T.match_buffer(T.arg("x", T.handle()), (tasks, chains, lanes), "float32")
        with T.parallel(0, tasks) as task, T.sblock("task"):
            _on_registers(x, task, chains, lanes, steps)
    return tvm.IRModule({tvm.ir.GlobalVar("main"): builder.get()})


def _on_registers(x: tirx.Buffer, task: tirx.Var, chains: int, lanes: int, steps: int) -> None:
    registers = T.sblock_alloc_buffer((chains, lanes), "float32", scope="local")
    by, plus = tirx.FloatImm("float32", 0.999), tirx.FloatImm("float32", 1e-3)
    store_vectors(registers, lambda i, v: x[task, i, v])
    with T.serial(0, steps):
        store_vectors(registers, lambda i, v: registers[i, v] * by + plus)
    store_vectors(x, lambda i, v: registers[i, v], task)


@attrs.frozen
class FmaLoop:
    """A loop that does nothing but multiply-adds on registers: `run()` performs `flops` operations, those of
    all tasks together."""

    run: Callable[[], object]
    flops: int


def fma_loop(target: tvm.target.Target, tasks: int = 1) -> FmaLoop:
    """The loop with the instructions of `target`, on this machine; several tasks run it at the same time, on
    as many threads as the pool is told to use."""
    machine = machine_of(target)
    chains = machine.vector_registers - 4
    module = fma_module(machine, chains, _STEPS, tasks)
    main = tvm.compile(module, target=target, tir_pipeline=PIPELINE_NAME)["main"]
    x = tvm.runtime.tensor(np.ones((tasks, chains, machine.lanes), np.float32))
    return FmaLoop(partial(main, x), 2 * tasks * chains * machine.lanes * _STEPS)


def measure_fma_peak(target: tvm.target.Target) -> float:
    """GFLOP/s of one core of this machine with the instructions of `target`: the median of repeated runs."""
    loop = fma_loop(target)
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        loop.run()
        seconds.append(time.perf_counter() - start)
    return loop.flops / statistics.median(seconds) / 1e9
