"""What the turns of two chains say about one link, as data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from benchmarks.convolutions import Convolution
from shiftc.bench.contestants import OURS


@attrs.frozen
class LinkTime:
    """Seconds of one link, from medians and from minima; not above 0 where the clock's scatter hides it."""

    median: float
    minimum: float

    def times_faster_than(self, other: LinkTime) -> tuple[float | None, float | None]:
        """Ratios of medians and of minima, above 1 where this is faster; None where the clock hides one."""
        return _ratio(other.median, self.median), _ratio(other.minimum, self.minimum)


def link_time(long: Sequence[float], short: Sequence[float], links: int) -> LinkTime:
    """From the turns of both chains; the long one has `links` more."""
    median = statistics.median(long) - statistics.median(short)
    return LinkTime(median / links, (min(long) - min(short)) / links)


def speeds(
    convolution: Convolution, times: Mapping[str, LinkTime], peak: LinkTime, plain: LinkTime | None
) -> dict[str, Any]:
    """Everything that follows from the times of one convolution.

    times: of ours, and of the peers that ran.
    peak:  seconds of one operation of the loop that measures the peak.
    plain: ours of the pointwise convolution of this shape, where this one is shifted.
    """
    ours, flops = times[OURS], 2 * convolution.macs
    floor = LinkTime(flops * peak.median, flops * peak.minimum)
    of_peak, of_peak_min = floor.times_faster_than(ours)
    ratios = {name: ours.times_faster_than(time) for name, time in times.items() if name != OURS}
    data: dict[str, Any] = {
        "times": {
            name: {
                "us": 1e6 * time.median,
                "us_min": 1e6 * time.minimum,
                "gflops": gflops(flops, time.median),
            }
            for name, time in times.items()
        },
        "of_peak": _inverse(of_peak),
        "of_peak_min": _inverse(of_peak_min),
        "ratios": {name: median for name, (median, _) in ratios.items() if median is not None},
        "ratios_of_minima": {name: minimum for name, (_, minimum) in ratios.items() if minimum is not None},
        "fma_peak_gflops": gflops(1, peak.median),
    }
    if plain is not None:
        data["times_of_plain"], data["times_of_plain_min"] = plain.times_faster_than(ours)
    return data


def gflops(flops: int, seconds: float) -> float | None:
    """Speed; None where the clock hides the time."""
    return 1e-9 * flops / seconds if seconds > 0 else None


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if numerator > 0 and denominator > 0 else None


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value
