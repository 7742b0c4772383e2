"""What it takes tasks to meet behind a phase, measured: it depends on which caches their cores share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from schedules.launch import Phases, launched
from schedules.pipeline import PIPELINE_NAME

_MEETINGS = 10_000


def meeting_module(tasks: int, meetings: int) -> tvm.IRModule:
    """`main(state: uint8[Phases.bytes(tasks)])`: `tasks` tasks walk through phases without work."""
    size = Phases.bytes(tasks)
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        state = T.arg("state", T.buffer((tirx.IntImm("int64", size),), "uint8"))
        phases = Phases(tasks, lambda further: T.address_of(state[further]))
        with launched(), T.parallel(0, tasks) as task:
            phases.enter(task)
            with T.serial(0, meetings), phases.units(task, tasks):
                T.evaluate(tirx.IntImm("int32", 0))
    return tvm.IRModule({tvm.ir.GlobalVar("main"): builder.get()})


@attrs.frozen
class Meetings:
    """`run()` is one launch in which all tasks meet `count` times; `arrivals()` counts units of all runs."""

    run: Callable[[], object]
    count: int
    arrivals: Callable[[], int]


def meetings(target: tvm.target.Target, tasks: int) -> Meetings:
    """Of several tasks, on as many threads as the pool is told to use."""
    main = tvm.compile(meeting_module(tasks, _MEETINGS), target=target, tir_pipeline=PIPELINE_NAME)["main"]
    state = tvm.runtime.tensor(np.zeros(Phases.bytes(tasks), np.uint8))
    return Meetings(partial(main, state), _MEETINGS, lambda: int(state.numpy()[:8].view(np.int64)[0]))
