"""Statements for whoever calls kernels that tasks share.

    with launched(tasks):                 # one hand-over to TVM's pool
        with barrier():                   # the tasks wait for each other at its end
            with T.parallel(0, tasks) as task:
                ...                       # kernel(…, task)

TVM's code generator takes a parallel loop within a launch as a loop that the threads of the pool divide; if
they are fewer than the tasks, one of them runs several.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tvm import tirx
from tvm.tirx.script import builder as T

Context = AbstractContextManager[Any]


def launched(tasks: int) -> Context:
    """What is in it runs on as many threads as the pool has; nothing is launched for one task."""
    return _pragma("parallel_launch_point") if tasks > 1 else nullcontext()


def barrier(needed: bool = True) -> Context:
    """Every thread waits at its end until all have come there."""
    return _pragma("parallel_barrier_when_finish") if needed else nullcontext()


def _pragma(name: str) -> Context:
    one = tirx.IntImm("int32", 1)
    pragma: Context = T.attr(one, f"pragma_{name}", one)
    return pragma
