"""A loop that needs all of a core: multiply-adds and reads of its second cache, both at their full rates.

A neighbour on the same core, whether it computes or moves data, slows this loop as it slows convolutions,
whose inner loops are of this kind. Multiply-adds on registers alone do not see who only moves data.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.emit import store_vectors
from schedules.machine import MachineParameters, machine_of
from schedules.pipeline import PIPELINE_NAME

_LINES = 8
"""Vectors that are read in one iteration."""
_DECAYS = (0.5, 0.25)
"""Every line is added to two sums, which decay unlike: sums enough to hide their latency."""
_SHARE_OF_L2 = 4
_BYTES_PER_RUN = 1 << 29


def demanding_module(machine: MachineParameters, steps: int, passes: int, tasks: int) -> tvm.IRModule:
    """`main(x: float32[tasks, steps, lines, lanes], y: float32[tasks, 2 * lines, lanes])`: each task's sums
    of its x, decayed from step to step, `passes` times, are added to its y."""
    lanes, count = machine.lanes, len(_DECAYS) * _LINES
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        x = T.match_buffer(T.arg("x", T.handle()), (tasks, steps, _LINES, lanes), "float32")
        y = T.match_buffer(T.arg("y", T.handle()), (tasks, count, lanes), "float32")
        with T.parallel(0, tasks) as task, T.sblock("task"):
            sums = T.sblock_alloc_buffer((count, lanes), "float32", scope="local")
            store_vectors(sums, lambda i, v: y[task, i, v])
            with T.serial(0, passes), T.serial(0, steps) as step:
                store_vectors(sums, lambda i, v: sums[i, v] * _decay(i) + x[task, step, i // len(_DECAYS), v])
            store_vectors(y, lambda i, v: sums[i, v], task)
    return tvm.IRModule({tvm.ir.GlobalVar("main"): builder.get()})


def _decay(number: int) -> tirx.FloatImm:
    return tirx.FloatImm("float32", _DECAYS[number % len(_DECAYS)])


def demanding_loop(target: tvm.target.Target, tasks: int) -> Callable[[], object]:
    """Runs it with the instructions of `target` for some milliseconds; several tasks at the same time, on as
    many threads as the pool is told to use."""
    machine = machine_of(target)
    line_bytes = 4 * _LINES * machine.lanes
    steps = machine.l2_bytes // _SHARE_OF_L2 // line_bytes
    passes = _BYTES_PER_RUN // (steps * line_bytes)
    module = demanding_module(machine, steps, passes, tasks)
    main = tvm.compile(module, target=target, tir_pipeline=PIPELINE_NAME)["main"]
    x = tvm.runtime.tensor(np.ones((tasks, steps, _LINES, machine.lanes), np.float32))
    y = tvm.runtime.tensor(np.zeros((tasks, len(_DECAYS) * _LINES, machine.lanes), np.float32))
    return partial(main, x, y)
