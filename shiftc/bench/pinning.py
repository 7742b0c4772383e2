"""Where measurements run: on which cores, on how many threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shiftc.runtime.threads import use_threads


@contextmanager
def on_one_core(threads: int) -> Iterator[None]:
    """While the context is open, this process stays on the last of its cores, if it runs one thread.

    A process that is moved between cores leaves its caches behind. With more threads the scheduler decides:
    which cores share what is not known here.
    """
    cores = os.sched_getaffinity(0)
    if threads == 1:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def on_threads(count: int, run: Callable[[], object], affinity: tuple[int, ...] = ()) -> Callable[[], None]:
    """Runs on so many threads of TVM's pool, whatever ran in it before.

    affinity: a core for each thread, as of a session.
    """

    def there() -> None:
        use_threads(count, affinity)
        run()

    return there
