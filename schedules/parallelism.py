"""When a parallel loop pays."""

from __future__ import annotations

HAND_OVER_CYCLES = 10_000
"""What TVM's pool takes to hand work to its threads and wait for them: 2 to 5 microseconds."""

_CYCLES_WORTH_SHARING = 4 * HAND_OVER_CYCLES


def worth_threads(cycles: float, threads: int) -> bool:
    """Whether work of so many cycles on one core should be shared between `threads`."""
    return threads > 1 and cycles >= _CYCLES_WORTH_SHARING
