"""The node suite from the command line; see the package."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.onnx_suite import table
from tests.onnx_suite.cases import collect
from tests.onnx_suite.pool import Verdict, run_cases


def main() -> int:
    """1 where a case is neither right nor refused, or is another than the table says."""
    parser = argparse.ArgumentParser(prog="python -m tests.onnx_suite")
    parser.add_argument("-k", default="", metavar="WORDS", help="cases whose names hold one of these words")
    parser.add_argument(
        "--not-right", action="store_true", help="cases that the table does not have as right"
    )
    parser.add_argument("-j", type=int, default=len(os.sched_getaffinity(0)), help="worker processes")
    parser.add_argument("--quiet", action="store_true", help="only tell cases that are not right")
    parser.add_argument("--update", action="store_true", help="write the table; with -k, those cases' rows")
    parser.add_argument("--check", action="store_true", help="hold the verdicts against the table")
    chosen = parser.parse_args()
    words = chosen.k.split()
    rows = table.read()
    cases = [case for case in collect() if not words or any(word in case.name for word in words)]
    if chosen.not_right:
        cases = [case for case in cases if rows.get(case.name) != "right"]

    def tell(name: str, verdict: Verdict) -> None:
        if verdict[0] != "right" or not chosen.quiet:
            print(f"{verdict[0]:8} {name}  {verdict[1]}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        verdicts = run_cases(cases, Path(folder), chosen.j, tell)
    _print_summary(verdicts)
    if chosen.update:
        table.update(verdicts, everything=not words and not chosen.not_right)
    problems = table.problems(verdicts, against_table=chosen.check)
    for problem in problems if chosen.check else ():
        print(problem)
    return 1 if problems else 0


def _print_summary(verdicts: Mapping[str, Verdict]) -> None:
    counts = Counter(kind for kind, _ in verdicts.values())
    right, cases = table.right_cases(verdicts)
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    print(f"{right} of {cases} cases are right, as they are or with shape-like inputs bound")


if __name__ == "__main__":
    sys.exit(main())
