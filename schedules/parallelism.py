"""When a parallel loop pays."""

from __future__ import annotations

_CYCLES_WORTH_SHARING = 40_000
"""About 10 microseconds: several times what TVM's pool takes to hand work over and wait (2-5)."""


def worth_threads(cycles: float, threads: int) -> bool:
    """Whether work of so many cycles on one core should be shared between `threads`."""
    return threads > 1 and cycles >= _CYCLES_WORTH_SHARING
