"""`make fuzz`: random models for minutes on end; what fails is shrunk and kept.

    python -m tests.fuzz.run --minutes 10 --seed 1
    python -m tests.fuzz.run --replay build/fuzz/failures/1-7

Cases come in blocks, each from a seed of its own, counted up from the first. A block is tried in a process of
its own, which a program that writes where it must not may end. Some programs are compiled and run as well.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from tests.fuzz.block import BLOCK, FAILURES, Outcome, problem_of, try_block
from tests.fuzz.case import Case

SECONDS = 900.0
"""A block that takes longer does not end."""


def try_apart(seed: int, compiled: int, folder: Path) -> Outcome:
    """What became of a block's cases, tried in a process of their own."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_send_outcome, args=(its, seed, compiled, folder))
    process.start()
    its.close()
    outcome = Outcome()
    try:
        if not mine.poll(SECONDS):
            outcome.failures.append((folder / f"{seed}-last", "it does not end"))
            process.kill()
        else:
            outcome = mine.recv()
    except EOFError:
        process.join()
        outcome.failures.append((folder / f"{seed}-last", f"the process ended with {process.exitcode}"))
    process.join()
    return outcome


def _send_outcome(connection: Connection, seed: int, compiled: int, folder: Path) -> None:
    connection.send(try_block(seed, compiled, folder))


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
    parser = argparse.ArgumentParser(prog="make fuzz", description="Random models against ONNX's reference.")
    parser.add_argument("--seed", type=int, default=None, help="of the first block; default: a random one")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--blocks", type=int, default=None, help=f"of {BLOCK} models; default: as time goes")
    parser.add_argument("--compile", type=int, default=10, help="one program of so many is compiled and run")
    parser.add_argument("--failures", type=Path, default=FAILURES, help="folder that failures are kept in")
    parser.add_argument("--replay", type=Path, default=None, help="the folder of a failure, to try again")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        problem = problem_of(Case.load(options.replay))
        print(problem or "right")
        return int(problem is not None)
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
    outcome, started, block = Outcome(), time.monotonic(), 0
    print(f"seeds from {seed} on, {BLOCK} models each", flush=True)
    while time.monotonic() < started + 60 * options.minutes and block != options.blocks:
        tried = try_apart(seed + block, options.compile, options.failures)
        outcome.add(tried)
        for folder, problem in tried.failures:
            print(f"{folder}: {problem}", flush=True)
        block += 1
        if block % 10 == 0:
            print(summary(outcome, time.monotonic() - started), flush=True)
    print(f"seeds {seed} to {seed + block - 1}")
    print(summary(outcome, time.monotonic() - started))
    for reason, count in outcome.refusals.most_common(10):
        print(f"refused {count} times: {reason}")
    return int(bool(outcome.failures))


if __name__ == "__main__":
    sys.exit(main())
