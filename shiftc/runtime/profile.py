"""Times a program step by step, by running one step at a time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import attrs

from shiftc.manifest import KernelEntry


@attrs.frozen
class StepTime:
    """Median time of one step of the program, in seconds; the cost of the call itself is taken off."""

    kernel: KernelEntry
    seconds: float


def time_steps(
    run: Callable[[int, int], object], kernels: tuple[KernelEntry, ...], repeat: int
) -> tuple[StepTime, ...]:
    """Times every step `repeat` times; `run(first, last)` executes the steps `first` to `last - 1`.

    The steps are run in order, so that each finds in the caches what its predecessor left.
    """
    run(0, len(kernels))
    times: list[list[float]] = [[] for _ in kernels]
    idle: list[float] = []
    for _ in range(repeat):
        idle.append(_seconds(run, 0, 0))
        for step, measured in enumerate(times):
            measured.append(_seconds(run, step, step + 1))
    call = statistics.median(idle)
    return tuple(
        StepTime(kernel, max(0.0, statistics.median(measured) - call))
        for kernel, measured in zip(kernels, times, strict=True)
    )


def _seconds(run: Callable[[int, int], object], first: int, last: int) -> float:
    start = time.perf_counter()
    run(first, last)
    return time.perf_counter() - start
