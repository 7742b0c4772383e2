"""Measures cases one after the other, the longest-neglected first, until time is up; loses nothing on the
way.

Every case runs in a process of its own: a peer that crashes ends its case alone, no threads of an earlier
case are around, and what decides about instruction sets at start-up can be told anew. Results are written
after every case.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, Protocol, TypeVar

import attrs

from benchmarks.results_file import Key, Measurement, ResultsFile, hours_since, now


class Case(Protocol):
    """Something to measure, printable."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The measurements it yields."""
        ...


AnyCase = TypeVar("AnyCase", bound=Case)


@attrs.frozen
class Campaign(Generic[AnyCase]):
    """What to do with measurements, and when to stop.

    file:    receives the measurements.
    machine: describes the machine, for the file.
    measure: measures a case; a function of a module, since another process calls it.
    table:   Markdown of all measurements; written beside the file.
    hours:   cases measured in the last so many hours are skipped; None skips none.
    minutes: no case is begun after so many; None has no end.
    """

    file: ResultsFile
    machine: Mapping[str, Any]
    measure: Callable[[AnyCase], Sequence[Measurement]]
    table: Callable[[Sequence[Measurement]], str]
    hours: float | None = None
    minutes: float | None = None

    def run(self, cases: Iterable[AnyCase]) -> int:
        """Measures `cases`; returns how many failed. Raises ResultsError or OutputError."""
        due = self.due(list(cases))
        end = None if self.minutes is None else time.monotonic() + 60 * self.minutes
        failed = 0
        for index, case in enumerate(due):
            if end is not None and time.monotonic() > end:
                print(f"time is up, {len(due) - index} of {len(due)} left; run again", flush=True)
                break
            print(f"[{index + 1}/{len(due)}] {case}", flush=True)
            try:
                self.add(in_a_process(self.measure, case))
            except Exception as error:  # whatever a case dies of, the others are measured
                failed += 1
                message = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"  failed: {message}", file=sys.stderr, flush=True)
        return failed

    def due(self, cases: Sequence[AnyCase]) -> list[AnyCase]:
        """The cases to measure: first those never measured, then the oldest."""
        times = {self.file.key(m): str(m["measured"]) for m in self.file.read()}

        def measured(case: AnyCase) -> str:
            return min(times.get(key, "") for key in case.keys)

        def is_due(case: AnyCase) -> bool:
            since = measured(case)
            return self.hours is None or not since or hours_since(since) > self.hours

        return sorted(filter(is_due, cases), key=measured)

    def add(self, measurements: Sequence[Measurement]) -> None:
        """Merges new measurements into the file and its table."""
        stamped = [{**measurement, "measured": now()} for measurement in measurements]
        self.file.add(self.machine, stamped, self.table)


def in_a_process(function: Callable[[Any], Any], argument: Any) -> Any:
    """`function(argument)`, in a fresh Python. Raises what it raises, and RuntimeError where the process
    dies."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as executor:
        try:
            return executor.submit(function, argument).result()
        except BrokenProcessPool as error:
            raise RuntimeError("the process that measured it died") from error
