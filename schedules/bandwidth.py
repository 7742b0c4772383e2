"""How fast one core reads from each level of its memory, measured: the slopes of a roofline."""

from __future__ import annotations

import statistics
import time

import numpy as np
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.emit import store_vectors
from schedules.machine import MachineParameters, machine_of
from schedules.pipeline import PIPELINE_NAME

_CHAINS = 8
"""Sums kept apart, so that no addition waits for the one before."""

_BYTES_PER_REPEAT = 1 << 26
_REPEATS = 11


def read_module(machine: MachineParameters, steps: int, passes: int) -> tvm.IRModule:
    """`main(x: float32[steps, chains, lanes], y: float32[chains, lanes])`: y += sum of x, `passes` times."""
    lanes = machine.lanes
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        x = T.match_buffer(T.arg("x", T.handle()), (steps, _CHAINS, lanes), "float32")
        y = T.match_buffer(T.arg("y", T.handle()), (_CHAINS, lanes), "float32")
        with T.sblock("root"):
            sums = T.sblock_alloc_buffer((_CHAINS, lanes), "float32", scope="local")
            store_vectors(sums, lambda i, v: y[i, v])
            with T.serial(0, passes), T.serial(0, steps) as step:
                store_vectors(sums, lambda i, v: sums[i, v] + x[step, i, v])
            store_vectors(y, lambda i, v: sums[i, v])
    return tvm.IRModule({tvm.ir.GlobalVar("main"): builder.get()})


def measure_read_bandwidth(target: tvm.target.Target, size: int) -> float:
    """Bytes per second at which one core of this machine reads `size` bytes again and again: the median."""
    machine = machine_of(target)
    steps = max(1, size // (4 * _CHAINS * machine.lanes))
    x = tvm.runtime.tensor(np.zeros((steps, _CHAINS, machine.lanes), np.float32))
    y = tvm.runtime.tensor(np.zeros((_CHAINS, machine.lanes), np.float32))
    bytes_read = 4 * steps * _CHAINS * machine.lanes
    passes = max(1, _BYTES_PER_REPEAT // bytes_read)
    main = tvm.compile(read_module(machine, steps, passes), target=target, tir_pipeline=PIPELINE_NAME)["main"]
    main(x, y)
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        main(x, y)
        seconds.append(time.perf_counter() - start)
    return bytes_read * passes / statistics.median(seconds)
