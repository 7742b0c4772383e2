"""Random models, in a few seconds: some that are the same every time, and some that nobody has seen."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings

from tests.fuzz.block import FAILURES, Outcome, drawn, try_block
from tests.fuzz.case import Case, cases
from tests.fuzz.interpreted_run import run_interpreted
from tests.fuzz.judge import Clock, judge
from tests.fuzz.shrink import shrunk


def right(outcome: Outcome, seed: int) -> None:
    """Nothing failed, and hardly anything was no case; the seed and the failures are told."""
    assert not outcome.failures, f"make fuzz FUZZ_FLAGS='--seed {seed}': {outcome.failures}"
    assert outcome.verdicts["right (interpret)"] >= 0.9 * outcome.cases, (seed, outcome.refusals)


def test_the_same_models_every_time(tmp_path: Path) -> None:
    right(try_block(1, 25, tmp_path, 40), 1)


def test_models_that_nobody_has_seen() -> None:
    seed = int.from_bytes(os.urandom(3), "big")
    print(f"seed {seed}")
    right(try_block(seed, 25, FAILURES, 40), seed)


@settings(max_examples=25, derandomize=True, database=None)
@given(cases())
def test_models_that_hypothesis_draws(case: Case) -> None:
    judge(case, run_interpreted, Clock(), "interpret")


def test_a_failure_is_shrunk_to_what_fails(tmp_path: Path) -> None:
    """Of any model: the fault that is looked for here is a convolution, on three threads."""

    def fails(case: Case) -> bool:
        operators = [node.op_type for node in case.model.graph.node]
        return "Conv" in operators and case.plan.threads == 3

    found = next(c for seed in range(100) if fails(c := drawn(seed, 0)) and len(c.model.graph.node) > 5)
    smallest = shrunk(found, fails, seconds=60)
    assert [node.op_type for node in smallest.model.graph.node] == ["Conv"]
    assert smallest.plan.tiles == 1
    assert smallest.plan.threads == 3
    smallest.save(tmp_path)
    again = Case.load(tmp_path)
    assert (again.model, again.plan, again.seed) == (smallest.model, smallest.plan, smallest.seed)
