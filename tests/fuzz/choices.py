"""Where random choices come from: whoever draws them decides how they are shrunk and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

T = TypeVar("T")


class Choices(Protocol):
    """A source of whole numbers."""

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""


@attrs.frozen
class Seeded:
    """Choices of a random generator: each case is another, and costs little to draw."""

    random: Random

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return self.random.randint(low, high)


@attrs.frozen
class Drawn:
    """Choices that hypothesis draws, and shrinks."""

    draw: DrawFn

    def number(self, low: int, high: int) -> int:
        """A number from `low` to `high`, both included."""
        return self.draw(st.integers(low, high))


def pick(choices: Choices, options: Sequence[T]) -> T:
    """One of several."""
    return options[choices.number(0, len(options) - 1)]


def chance(choices: Choices, percent: int) -> bool:
    """True in about so many of a hundred cases."""
    return choices.number(1, 100) > 100 - percent


def divisor(choices: Choices, number: int) -> int:
    """A number that divides another."""
    return pick(choices, [d for d in range(1, number + 1) if number % d == 0])


def cut(choices: Choices, size: int, parts: int) -> list[int]:
    """Sizes of that many parts, none empty, of something that has at least as many elements."""
    left, sizes = size, []
    for later in range(parts - 1, 0, -1):
        sizes.append(choices.number(1, left - later))
        left -= sizes[-1]
    return [*sizes, left]
