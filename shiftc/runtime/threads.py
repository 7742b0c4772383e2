"""Sets how many threads TVM's pool uses, for the calling thread, and on which cores they run.

TVM keeps one pool per calling thread and cannot enlarge it, so a pool is made as large as the machine
and then restricted; workers that are not used sleep.

Every worker is bound to a core of its own: tasks meet after every step, and where the system puts two of
them on one core a run takes several times as long. The calling thread stays as free as it was. The pools of
several threads begin at different cores.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count as numbers
from typing import TypeVar

import tvm_ffi

from shiftc.errors import AffinityError
from shiftc.runtime.limits import check_threads

Result = TypeVar("Result")

_ONE_CORE_PER_THREAD = -2  # of TVM's ThreadGroup::AffinityMode
_SPIN_COUNT = "10000"
"""How often an idle worker looks for work before it sleeps: some milliseconds. TVM's own default keeps a core
busy for a sixth of a second after every call."""
AWAKE_SECONDS = 1e-3
"""For so long after a run workers are surely awake."""

_configured = threading.local()
_environment = threading.Lock()
_pools = numbers()
_helper: tuple[int, ThreadPoolExecutor] | None = None
"""Who starts programs for a thread that has lost its pool, and of which process."""


def use_threads(count: int, affinity: tuple[int, ...] = (), tasks: int = 1) -> None:
    """Makes programs started by the calling thread run on `count` threads.

    tasks:    of the program, if it has more: then a thread works for several.
    affinity: a core for each thread; the calling thread, which is the first, stays bound to its own until it
              starts a program without, or its owner moves it. Then workers are bound to the cores that the
              calling thread may use.

    A program of one task launches nothing: it never makes a pool. Raises ArtifactTooLargeError where the
    threads of a pool cannot be started.
    """
    current = getattr(_configured, "state", None)
    tasks = max(count, tasks)
    if current is None and tasks == 1 and not affinity:
        return
    if current != (count, affinity) or (tasks > 1 and not hasattr(_configured, "size")):
        _share(count, affinity, tasks)
        _configured.state = (count, affinity)
    if count > 1 and not affinity:
        _leave(_configured.workers)


def has_lost_pool() -> bool:
    """Whether the calling thread had a pool before its process was forked: of that, the child has no
    workers."""
    return getattr(_configured, "process", None) not in (None, os.getpid())


def in_another_thread(call: Callable[[], Result]) -> Result:
    """What `call` returns or raises, in a thread of this process that has a pool of its own, or none yet."""
    global _helper
    with _environment:
        if _helper is None or _helper[0] != os.getpid():
            _helper = (os.getpid(), ThreadPoolExecutor(1, "shiftc"))
        executor = _helper[1]
    return executor.submit(call).result()


def _share(count: int, affinity: tuple[int, ...], tasks: int) -> None:
    """Use so many threads of the pool, which is made for the first program of several tasks."""
    free = _free()
    if tasks > 1 and not hasattr(_configured, "size"):
        size = max(tasks, len(free))
        check_threads(size - 1)
        _configured.size = size
        _configured.begin = next(_pools)
        _configured.process = os.getpid()
    if size := getattr(_configured, "size", 0):
        rotated = _rotated(sorted(free), _configured.begin)
        _configured.workers = frozenset(rotated[1:count])
        cores = affinity or rotated
        # TVM binds one by one only if there is a core for every worker, used or not.
        _configure(count, [cores[i % len(cores)] for i in range(size)])
    _configured.free = free
    os.sched_setaffinity(0, {affinity[0]} if affinity else free)


def _free() -> set[int]:
    """The cores that the calling thread may use, whether or not a program bound it to one of them.

    Once somebody else has moved it, what it had before it was bound is no longer what it should have.
    """
    now = os.sched_getaffinity(0)
    _, bound = getattr(_configured, "state", (1, ()))
    return _configured.free if bound and now == {bound[0]} else now


@cache
def _system() -> ctypes.CDLL:
    """The C library, loaded when a program of several threads asks: one thread needs nothing of it."""
    return ctypes.CDLL(None)


def _leave(workers: frozenset[int]) -> None:
    """Move the calling thread away from the workers' cores, and leave it free again.

    The system would do so after some milliseconds, in which the two take turns.
    """
    if _system().sched_getcpu() in workers:
        allowed = os.sched_getaffinity(0)
        if elsewhere := allowed - workers:
            os.sched_setaffinity(0, elsewhere)
            os.sched_setaffinity(0, allowed)


def check_affinity(affinity: Sequence[int], threads: int) -> tuple[int, ...]:
    """The cores for a program of so many threads; AffinityError unless they are that many, and there."""
    cores = tuple(int(core) for core in affinity)
    if len(set(cores)) != len(cores) or len(cores) != threads:
        listed = ", ".join(map(str, cores))
        raise AffinityError(f"affinity {listed}: the program has {threads} threads, name a core for each")
    there = range(os.cpu_count() or 1)
    if missing := [core for core in cores if core not in there]:
        raise AffinityError(f"affinity: this machine has no core {missing[0]}, only 0 to {there[-1]}")
    return cores


def _rotated(cores: Sequence[int], by: int) -> tuple[int, ...]:
    start = by % len(cores)
    return (*cores[start:], *cores[:start])


def _configure(count: int, cores: Sequence[int]) -> None:
    configure = tvm_ffi.get_global_func("runtime.config_threadpool")
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", _SPIN_COUNT)
    with _environment:
        before = os.environ.get("TVM_BIND_THREADS")
        os.environ["TVM_BIND_THREADS"] = "1"
        try:
            configure(_ONE_CORE_PER_THREAD, count, [str(core) for core in cores])
        finally:
            if before is None:
                del os.environ["TVM_BIND_THREADS"]
            else:
                os.environ["TVM_BIND_THREADS"] = before
