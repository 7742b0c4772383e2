"""Times candidates beside the default in turns, in an isolated process."""

from __future__ import annotations

import gc
import json
import os
import statistics
from math import ceil

import attrs
import numpy as np
import tvm
from numpy.typing import NDArray

from schedules.template import Decisions
from schedules.tuning.process import IsolatedProcess
from schedules.tuning.task import Task
from schedules.tuning.timed_kernel import TimedKernel

_TURN_SECONDS = 1e-3
_TOLERANCE = 1e-3
"""Of the largest value: sums in another order differ by less, a wrong address by more."""


@attrs.frozen
class Comparison:
    """Seconds of a call of a candidate and of the default, turn by turn."""

    candidate: tuple[float, ...]
    default: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median of the candidate's turns."""
        return statistics.median(self.candidate)

    @property
    def default_seconds(self) -> float:
        """Median of the default's turns."""
        return statistics.median(self.default)

    @property
    def gain(self) -> float:
        """How many times as fast as the default: median over the turns."""
        return statistics.median(self._ratios)

    @property
    def sure_gain(self) -> float:
        """The gain that three quarters of the turns exceed."""
        return statistics.quantiles(self._ratios, n=4)[0]

    @property
    def _ratios(self) -> list[float]:
        return [default / candidate for candidate, default in zip(self.candidate, self.default, strict=True)]


class Measurer:
    """Measures on this machine. Raises CallError for whatever goes wrong with a candidate."""

    def __init__(self, target: tvm.target.Target, process: IsolatedProcess, seconds: float) -> None:
        self._target = target
        self._process = process
        self._seconds = seconds
        self._loaded: tuple[Task, int] | None = None
        self._threads = 0

    def compare(
        self, task: Task, default: Decisions, candidate: Decisions, turns: int, check: bool = False
    ) -> Comparison:
        """Builds both and times them in turns; `check` also compares what they compute."""
        if self._threads != task.threads:
            self.fresh()
            self._threads = task.threads
        if self._loaded != (task, self._process.generation) or not self._process.alive:
            self._process.call(_load, task, str(self._target), dict(default), seconds=self._seconds)
            self._loaded = (task, self._process.generation)
        return self._process.call(_compare, dict(candidate), turns, check, seconds=self._seconds)

    def fresh(self) -> None:
        """Goes on in another process, whose memory lies elsewhere."""
        self._process.stop()
        self._loaded = None


@attrs.frozen(eq=False)
class _Loaded:
    """What the process keeps between calls: the task and its default."""

    task: Task
    target: tvm.target.Target
    decisions: Decisions
    default: TimedKernel


_loaded: _Loaded | None = None


def _load(task: Task, target: str, default: Decisions) -> None:
    global _loaded
    if task.threads == 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # TVM's pool is made by the first kernel that is shared, and stays as it is.
    os.environ |= {"TVM_NUM_THREADS": str(task.threads), "TVM_BIND_THREADS": "0"}
    parsed = tvm.target.Target(json.loads(target))
    _loaded = _Loaded(task, parsed, default, TimedKernel(task, parsed, default))


def _compare(decisions: Decisions, turns: int, check: bool) -> Comparison:
    assert _loaded is not None
    default = candidate = _loaded.default
    if decisions != _loaded.decisions:
        candidate = TimedKernel(_loaded.task, _loaded.target, decisions)
    if check:
        _check(candidate.memory(), default.memory())
    calls = [max(1, ceil(_TURN_SECONDS / _once(kernel))) for kernel in (candidate, default)]
    seconds: tuple[list[float], list[float]] = ([], [])
    gc.disable()
    for turn in range(turns):
        order = (0, 1) if turn % 2 else (1, 0)
        for which in order:
            kernel = (candidate, default)[which]
            kernel.seconds(1)  # the caches that the other left
            seconds[which].append(kernel.seconds(calls[which]))
    gc.enable()
    return Comparison(tuple(seconds[0]), tuple(seconds[1]))


def _once(kernel: TimedKernel) -> float:
    kernel.seconds(1)
    return min(kernel.seconds(1) for _ in range(3))


def _check(value: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    if not np.allclose(value, expected, rtol=_TOLERANCE, atol=_TOLERANCE * np.abs(expected).max()):
        raise ArithmeticError("computes something else than the default")
