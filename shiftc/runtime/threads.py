"""Sets how many threads TVM's pool uses, for the calling thread, and on which cores they run.

TVM keeps one pool per calling thread and cannot enlarge it, so a pool is made as large as the machine
and then restricted; workers that are not used sleep.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import tvm_ffi

from shiftc.errors import AffinityError

_ONE_CORE_PER_THREAD, _SHARE_ALL_CORES = -2, -3  # TVM's ThreadGroup::AffinityMode
_SPIN_COUNT = "10000"
"""How often an idle worker looks for work before it sleeps: some milliseconds. TVM's own default keeps a core
busy for a sixth of a second after every call."""

_configured = threading.local()
_environment = threading.Lock()


def use_threads(count: int, affinity: tuple[int, ...] = ()) -> None:
    """Makes programs started by the calling thread run on `count` threads.

    affinity: a core for each thread; the calling thread, which is the first, stays bound to its own. Without,
              the system decides.

    A program of one thread launches nothing: it never makes a pool.
    """
    current = getattr(_configured, "state", None)
    if current == (count, affinity) or (current is None and count == 1 and not affinity):
        return
    if current is None and count > 1:
        _configured.size = max(count, len(os.sched_getaffinity(0)))
        _configure(_SHARE_ALL_CORES, _configured.size, range(_configured.size), bind=False)
    size = getattr(_configured, "size", 0)
    if size and affinity:
        # TVM binds one by one only if there is a core for every worker, used or not.
        cores = [*affinity, *affinity[:1] * size][: max(size, count)]
        _configure(_ONE_CORE_PER_THREAD, count, cores, bind=True)
    elif size:
        _configure(_SHARE_ALL_CORES, count, range(count), bind=False)
    if affinity:
        os.sched_setaffinity(0, {affinity[0]})
    _configured.state = (count, affinity)


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


def _configure(mode: int, count: int, cores: Sequence[int], bind: bool) -> None:
    configure = tvm_ffi.get_global_func("runtime.config_threadpool")
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", _SPIN_COUNT)
    with _environment:
        # Unasked, TVM would pin the calling thread, and two pools to the same cores.
        before = os.environ.get("TVM_BIND_THREADS")
        os.environ["TVM_BIND_THREADS"] = "1" if bind else before or "0"
        try:
            configure(mode, count, [str(core) for core in cores])
        finally:
            if before is None:
                del os.environ["TVM_BIND_THREADS"]
            else:
                os.environ["TVM_BIND_THREADS"] = before
