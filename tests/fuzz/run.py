"""`make fuzz`: random models for minutes on end; what fails is shrunk and kept.

    python -m tests.fuzz.run --minutes 10 --seed 1
    python -m tests.fuzz.run --replay build/fuzz/failures/1-7

Models come in blocks, each of a seed of its own, counted up from the first. Every program is interpreted, and
some are compiled and run as well. A block has a process of its own, which a program that writes where it must
not may end.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.apart import Blocks
from tests.fuzz.block import BLOCK, FAILURES, Outcome, problem_of
from tests.fuzz.case import Case


def summary(outcome: Outcome, seconds: float) -> str:
    """How many, how fast, and where the time goes."""
    verdicts = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.verdicts.items()))
    total = sum(outcome.clock.seconds.values()) or 1.0
    parts = sorted(outcome.clock.seconds.items(), key=lambda part: -part[1])
    shares = ", ".join(f"{name} {100 * part / total:.0f} %" for name, part in parts)
    rate = 60 * outcome.cases / seconds
    return f"{outcome.cases} models, {rate:.0f} a minute: {verdicts or 'none judged'}\ntime: {shares}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Status 1 if a case failed."""
    options = _options(arguments)
    if options.replay is not None:
        problem = problem_of(Case.load(options.replay))
        print(problem or "right")
        return int(problem is not None)
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
    print(f"seeds from {seed} on, {BLOCK} models each", flush=True)
    blocks = Blocks(options.compile, options.failures)
    outcome, started, told, first = Outcome(), time.monotonic(), 0.0, seed
    ends = started + 60 * options.minutes

    def more() -> bool:
        return time.monotonic() < ends and (options.blocks is None or seed < first + options.blocks)

    while blocks.running or more():
        while len(blocks.running) < options.workers and more():
            blocks.start(seed)
            seed += 1
        for tried in blocks.finished():
            for reason in tried.refusals - outcome.refusals:
                print(f"refused: {reason}", flush=True)
            outcome.add(tried)
            for folder, problem in tried.failures:
                print(f"{folder}: {problem}", flush=True)
        if time.monotonic() > started + told + 60:
            told = time.monotonic() - started
            print(summary(outcome, told), flush=True)
    print(f"seeds {first} to {seed - 1}")
    print(summary(outcome, time.monotonic() - started))
    for reason, count in outcome.refusals.most_common(10):
        print(f"refused {count} times: {reason}")
    return int(bool(outcome.failures))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Random models against ONNX's reference.")
    parser.add_argument("--seed", type=int, help="of the first block; default: a random one")
    parser.add_argument("--minutes", type=float, default=2.0, help="until when blocks begin")
    parser.add_argument("--blocks", type=int, help="at most so many; default: any number")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="blocks at a time")
    parser.add_argument("--compile", type=int, default=10, help="one program of so many is compiled and run")
    parser.add_argument("--failures", type=Path, default=FAILURES, help="folder that failures are kept in")
    parser.add_argument("--replay", type=Path, help="the folder of a failure, to try it again")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
