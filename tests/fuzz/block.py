"""The cases of one seed: drawn by hypothesis, tried, and shrunk where they fail."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from pathlib import Path

import attrs
import onnx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as from_seed

from tests.fuzz.case import Case, cases
from tests.fuzz.compiled_run import run_compiled
from tests.fuzz.judge import Clock, Run, WrongError, judge
from tests.fuzz.shrink import shrunk

FAILURES = Path("build/fuzz/failures")
BLOCK = 100
"""Models of a seed."""
SHRINKING_SECONDS = 30.0


@attrs.define
class Outcome:
    """What became of the cases of some seeds.

    verdicts: how many by kind; refusals by their reasons.
    failures: folders of cases that failed, shrunk, and what is wrong with them.
    """

    cases: int = 0
    verdicts: Counter[str] = attrs.field(factory=Counter)
    refusals: Counter[str] = attrs.field(factory=Counter)
    failures: list[tuple[Path, str]] = attrs.field(factory=list)
    clock: Clock = attrs.field(factory=Clock)

    def add(self, other: Outcome) -> None:
        """Count another one's cases as well."""
        self.cases += other.cases
        self.verdicts += other.verdicts
        self.refusals += other.refusals
        self.failures += other.failures
        self.clock.seconds += other.clock.seconds


def drawn(seed: int, count: int = BLOCK) -> list[Case]:
    """The cases of a seed."""
    found: list[Case] = []

    @from_seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def try_block(seed: int, compiled: int, folder: Path = FAILURES, count: int = BLOCK) -> Outcome:
    """Tries the cases of a seed, every `compiled`-th of them compiled and run as well.

    The case that is tried lies in a folder of its own meanwhile, whatever becomes of the process.
    """
    logging.disable(logging.WARNING)
    outcome = Outcome()
    with outcome.clock.measured("generate"):
        found = drawn(seed, count)
    for number, case in enumerate(found):
        outcome.cases += 1
        for name, run in _ways((number + seed) % compiled == 0):
            case.save(folder / f"{seed}-last")
            try:
                verdict = judge(case, run, outcome.clock, name)
            except WrongError as error:
                outcome.verdicts["wrong"] += 1
                smallest = shrunk(case, partial(_fails, run=run), SHRINKING_SECONDS)
                smallest.save(folder / f"{seed}-{number}")
                problem = problem_of(smallest, run) or str(error)
                outcome.failures.append((folder / f"{seed}-{number}", problem))
                break
            outcome.verdicts[f"{verdict.kind} ({name})"] += 1
            if verdict.kind == "refused":
                outcome.refusals[verdict.reason] += 1
    for file in (folder / f"{seed}-last").glob("*"):
        file.unlink()
    (folder / f"{seed}-last").rmdir()
    return outcome


def _ways(compiled: bool) -> list[tuple[str, Run]]:
    return [("compile and run", run_compiled)] if compiled else []


def problem_of(case: Case, run: Run = run_compiled) -> str | None:
    """What is wrong with a case; None if nothing is, or it is no case."""
    try:
        onnx.checker.check_model(case.model)
        judge(case, run, Clock(), "again")
    except WrongError as error:
        return str(error)
    except Exception:  # a model that is none, after shrinking
        return None
    return None


def _fails(case: Case, run: Run) -> bool:
    return problem_of(case, run) is not None
