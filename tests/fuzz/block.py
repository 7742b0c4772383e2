"""The cases of one seed: drawn, tried, and shrunk where they fail."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

import attrs
import onnx

from tests.fuzz.case import Case, draw_case
from tests.fuzz.choices import Seeded
from tests.fuzz.compiled_run import run_compiled
from tests.fuzz.interpreted_run import run_interpreted
from tests.fuzz.judge import Clock, Run, Verdict, WrongError, held, judge, prepared
from tests.fuzz.shrink import shrunk

FAILURES = Path("build/fuzz/failures")
BLOCK = 25
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


def drawn(seed: int, number: int) -> Case:
    """A case of a seed."""
    return draw_case(Seeded(Random(f"{seed}-{number}")))


def try_block(seed: int, compiled: int, folder: Path = FAILURES, count: int = BLOCK) -> Outcome:
    """Tries the cases of a seed, every `compiled`-th of them compiled and run as well.

    The case that is tried lies in a folder of its own meanwhile, whatever becomes of the process.
    """
    logging.disable(logging.WARNING)
    outcome = Outcome()
    for number in range(count):
        with outcome.clock.measured("generate"):
            case = drawn(seed, number)
        outcome.cases += 1
        case.save(current(folder, seed))
        run: Run = run_interpreted
        try:
            trial = prepared(case, outcome.clock)
            for name, run in _ways((number + seed) % compiled == 0):
                verdict = trial if isinstance(trial, Verdict) else held(trial, run, outcome.clock, name)
                outcome.verdicts[f"{verdict.kind} ({name})"] += 1
                if verdict.kind == "refused":
                    outcome.refusals[verdict.reason] += 1
        except WrongError as error:
            outcome.verdicts["wrong"] += 1
            smallest = shrunk(case, partial(_fails, run=run), SHRINKING_SECONDS)
            smallest.save(folder / f"{seed}-{number}")
            problem = problem_of(smallest, run) or str(error)
            outcome.failures.append((folder / f"{seed}-{number}", problem))
    shutil.rmtree(current(folder, seed))
    return outcome


def current(folder: Path, seed: int) -> Path:
    """Where the case of a block lies that is being tried."""
    return folder / f"{seed}-current"


def _ways(compiled: bool) -> list[tuple[str, Run]]:
    interpreted: tuple[str, Run] = ("interpret", run_interpreted)
    return [interpreted, ("compile and run", run_compiled)] if compiled else [interpreted]


def problem_of(case: Case, run: Run | None = None) -> str | None:
    """What is wrong with a case, interpreted and compiled or run that one way; None if nothing is."""
    runs = [run] if run is not None else [way for _, way in _ways(True)]
    try:
        onnx.checker.check_model(case.model)
        for each in runs:
            judge(case, each, Clock(), "again")
    except WrongError as error:
        return str(error)
    except Exception:  # a model that is none, after shrinking
        return None
    return None


def _fails(case: Case, run: Run) -> bool:
    return problem_of(case, run) is not None
