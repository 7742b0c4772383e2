"""The points and the roofs of a roofline, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from schedules.bandwidth import measure_read_bandwidth
from schedules.machine import machine_of
from schedules.peak import measure_fma_peak
from shiftc.bench.machine import cache_bytes
from shiftc.runtime import StepTime
from shiftc.target import parse_target

_BEYOND_ALL_CACHES = 4
"""Memory is what lies behind so many times the last cache."""

_UNKNOWN_CACHE = 64 << 20


@attrs.frozen
class Point:
    """A step: its kind, FLOP per byte, FLOP/s, and its share of the network's time."""

    kind: str
    intensity: float
    speed: float
    share: float


@attrs.frozen
class Roofs:
    """peak: FLOP/s; bandwidths: bytes per second, by what is read from."""

    peak: float
    bandwidths: Mapping[str, float]

    def at(self, intensity: float, level: str) -> float:
        """FLOP/s that a kernel of that intensity can reach with its data there."""
        return min(self.peak, intensity * self.bandwidths[level])


def points_of(steps: Iterable[StepTime]) -> tuple[Point, ...]:
    """The steps that multiply; bytes count what a step reads and writes once."""
    steps = tuple(steps)
    total = sum(step.seconds for step in steps)
    return tuple(
        Point(
            kind=step.kernel.kind,
            intensity=2 * step.kernel.macs / step.kernel.bytes,
            speed=2 * step.kernel.macs / step.seconds,
            share=step.seconds / total,
        )
        for step in steps
        if step.kernel.macs and step.kernel.bytes and step.seconds > 0
    )


def measure_roofs(target: str) -> Roofs:
    """Of one core of this machine, with the target's instructions."""
    parsed = parse_target(target)
    return Roofs(
        peak=1e9 * measure_fma_peak(parsed),
        bandwidths={
            level: measure_read_bandwidth(parsed, size)
            for level, size in read_sizes(machine_of(parsed).l2_bytes, cache_bytes(3)).items()
        },
    )


def read_sizes(l2_bytes: int, l3_bytes: int | None) -> dict[str, int]:
    """How much to read again and again so that it comes from L2, from L3 (if there is one), from memory."""
    sizes = {"L2": l2_bytes // 2}
    if l3_bytes is not None and l3_bytes > 2 * l2_bytes:
        sizes["L3"] = min(4 * l2_bytes, l3_bytes // 2)
    return sizes | {"memory": _BEYOND_ALL_CACHES * (l3_bytes or _UNKNOWN_CACHE)}
