"""Keeps a single-threaded measurement on one core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


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
