"""Which decisions to measure next: evolution from the default, with some at random."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from schedules.template import Decisions
from schedules.tuning.space import Space

_PARENTS = 6
_RANDOM_SHARE = 0.15
_CROSSOVER_SHARE = 0.15
_NEIGHBOUR_SHARE = 0.7
"""Of mutations; the others jump anywhere."""
_ATTEMPTS = 200

Choice = tuple[int, ...]
"""One index into every decision's candidates."""


class Search:
    """Proposes each combination at most once; the same seed and costs give the same proposals."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._names = list(space.candidates)
        self._sizes = [len(values) for values in space.candidates.values()]
        self._free = [position for position, size in enumerate(self._sizes) if size > 1]
        self._random = random.Random(seed)
        self._costs: dict[Choice, float] = {}
        self._seen: set[Choice] = {self._choice(space.default)}
        self._remaining = itertools.product(*map(range, self._sizes))

    def report(self, decisions: Decisions, cost: float) -> None:
        """Tells what decisions cost, proposed or not. What failed is not reported."""
        choice = self._choice(decisions)
        self._costs[choice] = cost
        self._seen.add(choice)

    def propose(self) -> Decisions | None:
        """The next combination; None when all have been proposed."""
        choice = next((c for c in self._bred() if c not in self._seen), None)
        if choice is None:
            choice = next((c for c in self._remaining if c not in self._seen), None)
        if choice is None:
            return None
        self._seen.add(choice)
        candidates = self._space.candidates
        return {name: candidates[name][index] for name, index in zip(self._names, choice, strict=True)}

    def _bred(self) -> Iterator[Choice]:
        parents = sorted(self._costs, key=lambda choice: self._costs[choice])[:_PARENTS]
        return (self._child(parents) for _ in range(_ATTEMPTS if self._free else 0))

    def _child(self, parents: list[Choice]) -> Choice:
        kind = self._random.random()
        if not parents or kind < _RANDOM_SHARE:
            return tuple(self._random.randrange(size) for size in self._sizes)
        # The better a parent, the likelier it is chosen.
        first = parents[int(len(parents) * self._random.random() ** 2)]
        if kind < _RANDOM_SHARE + _CROSSOVER_SHARE:
            pairs = zip(first, self._random.choice(parents), strict=True)
            return tuple(self._random.choice(pair) for pair in pairs)
        child = list(first)
        for _ in range(self._random.choice((1, 1, 2))):
            position = self._random.choice(self._free)
            child[position] = self._mutated(child[position], self._sizes[position])
        return tuple(child)

    def _mutated(self, index: int, size: int) -> int:
        if self._random.random() < _NEIGHBOUR_SHARE:
            return min(max(index + self._random.choice((-2, -1, 1, 2)), 0), size - 1)
        return self._random.randrange(size)

    def _choice(self, decisions: Decisions) -> Choice:
        return tuple(self._space.candidates[name].index(decisions[name]) for name in self._names)
