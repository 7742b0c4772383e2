"""How many threads a session takes, told times of machines that are calm, busy, or one after the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from shiftc.runtime.thread_choice import ThreadChoice

Machine = Callable[[int], float]
"""Seconds of a run on so many threads."""


def calm(threads: int) -> float:
    return 1e-3 / threads


def busy(threads: int) -> float:
    """One core is taken: whoever needs it waits for a time slice now and then."""
    return 1e-3 if threads == 1 else 4e-3


def runs(choice: ThreadChoice, machine: Machine, count: int) -> list[tuple[int, float]]:
    """Threads and seconds of so many runs."""
    made = []
    for _ in range(count):
        threads = choice.threads
        made.append((threads, machine(threads)))
        choice.took(made[-1][1])
    return made


def share_of(made: list[tuple[int, float]], threads: int) -> float:
    return sum(count == threads for count, _ in made) / len(made)


def test_one_thread_is_all_there_is() -> None:
    assert {threads for threads, _ in runs(ThreadChoice(1), calm, 50)} == {1}


def test_on_calm_cores_all_threads_are_used_and_trials_cost_a_hundredth() -> None:
    made = runs(ThreadChoice(2), calm, 20_000)
    assert share_of(made, 2) > 0.98
    assert sum(seconds for _, seconds in made) < 1.02 * 20_000 * calm(2)


def test_on_a_busy_machine_one_thread_is_used_after_a_few_runs() -> None:
    choice = ThreadChoice(2)
    runs(choice, busy, 20)
    made = runs(choice, busy, 20_000)
    assert share_of(made, 1) > 0.99
    assert sum(seconds for _, seconds in made) < 1.02 * 20_000 * busy(1)


def test_it_notices_when_the_machine_becomes_busy_and_when_it_is_calm_again() -> None:
    choice = ThreadChoice(2)
    runs(choice, calm, 5_000)
    assert share_of(runs(choice, busy, 40)[10:], 1) > 0.9
    runs(choice, busy, 5_000)
    made = runs(choice, calm, 10_000)
    returned = next(i for i, (threads, _) in enumerate(made) if made[i : i + 50] == [(2, calm(2))] * 50)
    assert sum(seconds for _, seconds in made[:returned]) < 3.0


def test_what_is_slow_at_times_only_counts_with_its_mean() -> None:
    """Two runs of five are held up: the median does not see them."""
    noise = random.Random(1)

    def unsteady(threads: int) -> float:
        return 1e-3 if threads == 1 else 8e-3 if noise.random() < 0.4 else 5e-4

    choice = ThreadChoice(2)
    runs(choice, unsteady, 2_000)
    assert share_of(runs(choice, unsteady, 20_000), 1) > 0.98


def test_single_runs_that_are_interrupted_change_little() -> None:
    noise = random.Random(2)

    def hiccups(threads: int) -> float:
        return calm(threads) + (4e-3 if noise.random() < 0.005 else 0)

    assert share_of(runs(ThreadChoice(2), hiccups, 20_000), 2) > 0.97


def test_a_trial_that_costs_much_is_cut_short() -> None:
    choice = ThreadChoice(2)
    runs(choice, busy, 40)
    made = runs(choice, lambda threads: 1e-3 if threads == 1 else 0.1, 3_000)
    assert max(made)[0] == 2
    assert all(first == 1 or second == 1 for (first, _), (second, _) in pairwise(made))


@pytest.mark.parametrize(("most", "taken", "best"), [(4, 1, 2), (8, 0, 8), (8, 5, 2), (8, 7, 1), (6, 3, 3)])
def test_some_of_many_threads(most: int, taken: int, best: int) -> None:
    """Threads beyond the free cores make all wait; with fewer of them parts are dealt out unevenly."""

    def machine(threads: int) -> float:
        parts = -(-most // threads)
        return 1e-3 * parts * (1 if threads <= most - taken else 12)

    choice = ThreadChoice(most)
    runs(choice, machine, 500)
    assert share_of(runs(choice, machine, 2_000), best) > 0.95
    assert sum(choice.runs.values()) == 2_500
