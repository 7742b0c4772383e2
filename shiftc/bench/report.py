"""What a comparison found, with everything needed to judge it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import attrs

from shiftc.bench.floor import Floor
from shiftc.bench.machine import Machine


@attrs.frozen
class Timing:
    """One runtime: seconds per call for each turn; largest error against the reference, relative to the
    reference's largest value (None without a reference); `failure` when it cannot run the model."""

    name: str
    version: str
    seconds: tuple[float, ...] = ()
    error: float | None = None
    failure: str | None = None

    @property
    def median(self) -> float:
        """Median of the turns, in seconds."""
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        """Fastest turn, in seconds."""
        return min(self.seconds)

    def as_json(self) -> dict[str, Any]:
        """Times in milliseconds."""
        data: dict[str, Any] = {"version": self.version, "error": self.error, "failure": self.failure}
        if self.seconds:
            data |= {
                "median_ms": self.median * 1e3,
                "min_ms": self.minimum * 1e3,
                "turns_ms": [seconds * 1e3 for seconds in self.seconds],
            }
        return data


@attrs.frozen
class Comparison:
    """Everything measured at one thread count."""

    threads: int
    ours: Timing
    peers: tuple[Timing, ...]
    floor: Floor

    @property
    def ratios(self) -> Mapping[str, float]:
        """How many times faster than each peer; below 1 is slower."""
        return {peer.name: peer.median / self.ours.median for peer in self.peers if not peer.failure}

    def as_json(self) -> dict[str, Any]:
        """One object per thread count."""
        return {
            "threads": self.threads,
            "runtimes": {timing.name: timing.as_json() for timing in (self.ours, *self.peers)},
            "ratios": dict(self.ratios),
            "floor_ms": self.floor.seconds * 1e3,
            "of_floor": self.floor.seconds / self.ours.median,
            "fma_peak_gflops": self.floor.flops_per_second / 1e9,
        }


@attrs.frozen
class BenchReport:
    """A model on a machine, at one or more thread counts."""

    model: str
    macs: int
    machine: Machine
    rounds: int
    comparisons: tuple[Comparison, ...]

    def as_json(self) -> dict[str, Any]:
        """One object for `--json`."""
        return {
            "model": self.model,
            "macs": self.macs,
            "machine": attrs.asdict(self.machine),
            "rounds": self.rounds,
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }
