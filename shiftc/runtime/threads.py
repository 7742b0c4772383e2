"""Sets how many threads TVM's pool uses, for the calling thread.

TVM keeps one pool per calling thread and cannot enlarge it, so a pool is made as large as the machine
and then restricted; workers that are not used sleep.
"""

from __future__ import annotations

import os
import threading

import tvm_ffi

_SHARE_ALL_CORES = -3  # TVM's ThreadGroup::kSpecifyThreadShareAllCore
_SPIN_COUNT = "10000"
"""How often an idle worker looks for work before it sleeps: some milliseconds. TVM's own default keeps a core
busy for a sixth of a second after every call."""

_configured = threading.local()
_environment = threading.Lock()


def use_threads(count: int) -> None:
    """Makes parallel loops started by the calling thread run on `count` threads.

    A program scheduled for one thread has no parallel loop: it never makes a pool.
    """
    current: int | None = getattr(_configured, "count", None)
    if current == count or (current is None and count == 1):
        return
    if current is None:
        _configure(max(count, len(os.sched_getaffinity(0))))
    _configure(count)
    _configured.count = count


def _configure(count: int) -> None:
    configure = tvm_ffi.get_global_func("runtime.config_threadpool")
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", _SPIN_COUNT)
    with _environment:
        # TVM would pin the calling thread, and two pools to the same cores; the scheduler does better.
        bound = os.environ.get("TVM_BIND_THREADS")
        os.environ["TVM_BIND_THREADS"] = bound or "0"
        try:
            configure(_SHARE_ALL_CORES, count, [str(core) for core in range(count)])
        finally:
            if bound is None:
                del os.environ["TVM_BIND_THREADS"]
