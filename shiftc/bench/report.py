"""What a comparison found, with everything needed to judge it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from shiftc.bench.floor import Floor
from shiftc.bench.machine import Machine

_DIGITS = 5
"""Of times in JSON: finer than any clock's scatter."""


@attrs.frozen
class Timing:
    """One runtime.

    seconds: per call, the median of each turn; of every call where `of_calls`.
    error:   largest error against the reference, relative to the reference's largest value; None without one.
    wider:   it used instructions that the target has not.
    failure: why it cannot run the model.
    """

    name: str
    version: str
    seconds: tuple[float, ...] = ()
    error: float | None = None
    wider: bool = False
    failure: str | None = None
    of_calls: bool = False

    @property
    def median(self) -> float:
        """Median of the turns, in seconds."""
        return statistics.median(self.seconds)

    @property
    def minimum(self) -> float:
        """Fastest turn, in seconds."""
        return min(self.seconds)

    @property
    def percentile_90(self) -> float:
        """The time that nine of ten calls do not exceed, in seconds."""
        return sorted(self.seconds)[math.ceil(0.9 * len(self.seconds)) - 1]

    def as_json(self) -> dict[str, Any]:
        """Times in milliseconds."""
        data: dict[str, Any] = {"version": self.version, "error": self.error, "failure": self.failure}
        if self.wider:
            data["wider_instructions"] = True
        if self.seconds:
            data |= {
                "median_ms": milliseconds(self.median),
                "min_ms": milliseconds(self.minimum),
            }
            if self.of_calls:
                data["p90_ms"] = milliseconds(self.percentile_90)
            else:
                data["turns_ms"] = [milliseconds(seconds) for seconds in self.seconds]
        return data


@attrs.frozen
class Comparison:
    """Everything measured at one thread count.

    disturbed: something else was on the machine in nearly all turns.
    busy, back_to_back: what was on it on purpose, see `BenchOptions`.
    arena_lower_bound_bytes: the most that are alive at once.
    """

    threads: int
    ours: Timing
    peers: tuple[Timing, ...]
    floor: Floor
    disturbed: bool
    macs: int
    arena_bytes: int
    arena_lower_bound_bytes: int
    busy: int = 0
    back_to_back: bool = False

    @property
    def ratios(self) -> Mapping[str, float]:
        """How many times faster than each peer, by medians; below 1 is slower."""
        return self._ratios(lambda timing: timing.median)

    @property
    def ratios_of_90(self) -> Mapping[str, float]:
        """The same by what nine of ten calls do not exceed."""
        return self._ratios(lambda timing: timing.percentile_90)

    @property
    def ratios_of_minima(self) -> Mapping[str, float]:
        """The same by the fastest turns: where a neighbour disturbs some turns, this is the steadier of the
        two."""
        return self._ratios(lambda timing: timing.minimum)

    def _ratios(self, of: Callable[[Timing], float]) -> Mapping[str, float]:
        return {peer.name: of(peer) / of(self.ours) for peer in self.peers if not peer.failure}

    def as_json(self) -> dict[str, Any]:
        """One object per thread count; the floor's shares are those of the median and of the fastest turn."""
        return {
            "threads": self.threads,
            "disturbed": self.disturbed,
            "busy": self.busy,
            "back_to_back": self.back_to_back,
            "macs": self.macs,
            "arena_bytes": self.arena_bytes,
            "arena_lower_bound_bytes": self.arena_lower_bound_bytes,
            "runtimes": {timing.name: timing.as_json() for timing in (self.ours, *self.peers)},
            "ratios": dict(self.ratios),
            "ratios_of_minima": dict(self.ratios_of_minima),
            "floor_ms": milliseconds(self.floor.seconds),
            "of_floor": self.floor.seconds / self.ours.median,
            "of_floor_min": self.floor.best_seconds / self.ours.minimum,
            "fma_peak_gflops": self.floor.median_peak / 1e9,
            "fma_peak_gflops_best": self.floor.best_peak / 1e9,
        }


@attrs.frozen
class BenchReport:
    """A model on a machine, at one or more thread counts."""

    model: str
    machine: Machine
    rounds: int
    comparisons: tuple[Comparison, ...]

    def as_json(self) -> dict[str, Any]:
        """One object for `--json`."""
        return {
            "model": self.model,
            "machine": attrs.asdict(self.machine),
            "rounds": self.rounds,
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }


def milliseconds(seconds: float) -> float:
    """`seconds` as milliseconds, to five digits."""
    return float(f"{seconds * 1e3:.{_DIGITS}g}")
