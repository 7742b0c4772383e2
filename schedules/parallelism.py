"""Who computes what when several tasks share a kernel, and when sharing pays.

A program of several threads is launched once per run: every thread is a *task* that walks through all steps
and meets the others at a barrier after each. A kernel shared by `tasks` tasks is called by all of them with
their number, and each begins with its share of the parallel loops (`schedules/claims.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

HAND_OVER_CYCLES = 500
"""What a barrier between two steps costs, and what a task lacks that another one's cache holds.

Tasks on cores of one cache meet within 100 cycles, on others within 1500; between two shared kernels they
meet anyway, whether the one between is shared or not.
"""

LAUNCH_CYCLES = 4_000
"""What a run costs that hands the program to threads that are still awake from the run before."""

WAKING_CYCLES = 250_000
"""What it costs where they sleep, and the last of them is waited for."""

_CYCLES_WORTH_SHARING = 2 * HAND_OVER_CYCLES
_EVEN_ENOUGH = 1.02
"""Longest share over mean share up to which a loop counts as evenly divided."""


def worth_threads(cycles: float, threads: int) -> bool:
    """Whether work of so many cycles on one core should be shared between `threads`."""
    return threads > 1 and cycles >= _CYCLES_WORTH_SHARING


def tasks_for(cycles: float, threads: int) -> int:
    """How many tasks share work of so many cycles: all or one."""
    return threads if worth_threads(cycles, threads) else 1


def share(task: int, count: int, tasks: int, shift: int) -> range:
    """Which of `count` iterations a task computes: consecutive ones, as many as any other task or one more.

    shift: 0 ≤ shift < tasks; moves those that have one more.
    """
    return range((task * count + shift) // tasks, ((task + 1) * count + shift) // tasks)


def shifts(counts: Sequence[int], tasks: int) -> tuple[int, ...]:
    """A shift for each of several loops such that what divides unevenly goes to whoever has least so far."""
    loads = [0] * tasks
    result = []
    for count in counts:
        choices = [
            [load + len(share(task, count, tasks, shift)) for task, load in enumerate(loads)]
            for shift in range(tasks)
        ]
        result.append(min(range(tasks), key=lambda shift: sorted(choices[shift], reverse=True)))
        loads = choices[result[-1]]
    return tuple(result)


def makespan(counts: Sequence[int], cycles: Sequence[float], tasks: int) -> float:
    """Cycles until the last task is through with loops of `counts` iterations of `cycles` each."""
    dealt = list(zip(counts, cycles, shifts(counts, tasks), strict=True))
    return max(
        sum(len(share(task, count, tasks, shift)) * each for count, each, shift in dealt)
        for task in range(tasks)
    )


def divides_evenly(count: int, tasks: int) -> bool:
    """Whether tasks with a share of `count` iterations each are busy nearly all of the time."""
    return -(-count // tasks) * tasks <= _EVEN_ENOUGH * count
