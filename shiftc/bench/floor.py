"""The time below which no schedule gets: the model's multiply-adds at the machine's measured peak."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen
class Floor:
    """flops: twice the model's multiply-adds; the peaks are FLOP/s of all threads together, in the median
    turn of a loop that does nothing but fused multiply-adds on registers, and in its best one."""

    flops: int
    median_peak: float
    best_peak: float

    @property
    def seconds(self) -> float:
        """flops at the median peak: what medians are compared with."""
        return self.flops / self.median_peak

    @property
    def best_seconds(self) -> float:
        """flops at the best peak: what minima are compared with."""
        return self.flops / self.best_peak


def floor_of(macs: int, loop_flops: int, loop_seconds: Sequence[float]) -> Floor:
    """The floor of a model of `macs` multiply-adds where a loop of `loop_flops` operations, those of all
    threads together, takes `loop_seconds`."""
    return Floor(2 * macs, loop_flops / statistics.median(loop_seconds), loop_flops / min(loop_seconds))
