"""How long work takes that keeps several parts of a processor busy at once."""

from __future__ import annotations

_SMOOTHNESS = 8.0
"""Exponent that joins what runs side by side: the busiest counts, a close second is felt."""


def busiest(*cycles: float) -> float:
    """Cycles of what runs side by side, each alone taking so many: about the most of them."""
    joined: float = sum(each**_SMOOTHNESS for each in cycles) ** (1.0 / _SMOOTHNESS)
    return joined
