"""The time below which no schedule gets: the model's multiply-adds at the machine's measured peak."""

from __future__ import annotations

import attrs

from schedules.peak import measure_fma_peak
from shiftc.target import parse_target


@attrs.frozen
class Floor:
    """flops: twice the model's multiply-adds; flops_per_second: measured peak of all threads together."""

    flops: int
    flops_per_second: float

    @property
    def seconds(self) -> float:
        """flops / peak."""
        return self.flops / self.flops_per_second


def measure_peak(target: str) -> float:
    """FLOP/s of one core that does nothing but fused multiply-adds on registers."""
    return 1e9 * measure_fma_peak(parse_target(target))


def floor_of(macs: int, peak: float, threads: int) -> Floor:
    """The floor of a model of `macs` multiply-adds on `threads` cores of `peak` FLOP/s each."""
    return Floor(2 * macs, peak * threads)
