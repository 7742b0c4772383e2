"""Proposals: each once, all in the end, and better ones for better costs."""

from __future__ import annotations

import math

from schedules.template import Decisions
from schedules.tuning.search import Search
from schedules.tuning.space import Space, key_of
from tests.tuning.tasks import POINTWISE, TARGET


def _space(**candidates: tuple[int, ...]) -> Space:
    default = {name: values[0] for name, values in candidates.items()}
    return Space(key_of(POINTWISE, TARGET, 1), candidates, default)


def _all(search: Search) -> list[Decisions]:
    return list(iter(search.propose, None))


def test_every_combination_but_the_default_is_proposed_once() -> None:
    space = _space(tile=(1, 2, 3), unroll=(1, 2), threads=(1,))
    every = _all(Search(space, 0))
    proposed = {tuple(sorted(decisions.items())) for decisions in every}
    assert len(every) == len(proposed) == space.size - 1
    assert tuple(sorted(space.default.items())) not in proposed


def test_nothing_to_decide_nothing_to_propose() -> None:
    assert Search(_space(threads=(1,)), 0).propose() is None


def test_the_seed_decides() -> None:
    space = _space(**{name: tuple(range(1, 21)) for name in ("tile", "unroll", "panel")})
    runs = [_search(space, seed, 20) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_evolution_finds_what_chance_would_not() -> None:
    """The best 9 of 8,000 combinations, within 200 trials, from any of ten seeds."""
    space = _space(**{name: tuple(range(1, 21)) for name in ("tile", "unroll", "panel")})
    for seed in range(10):
        assert min(map(_cost, _search(space, seed, 200))) <= 1.1


def _cost(decisions: Decisions) -> float:
    return 1 + math.dist(tuple(decisions.values()), (13, 17, 6)) / 10


def _search(space: Space, seed: int, trials: int) -> list[Decisions]:
    search = Search(space, seed)
    search.report(space.default, _cost(space.default))
    proposed = []
    for _ in range(trials):
        decisions = search.propose()
        assert decisions is not None
        search.report(decisions, _cost(decisions))
        proposed.append(decisions)
    return proposed
