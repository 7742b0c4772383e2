"""Blocks of cases, each tried in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path

import attrs
import onnxslim  # noqa: F401  (so that not every process imports it anew, when it first simplifies)

from tests.fuzz.block import Outcome, current, try_block

SECONDS = 900.0
"""A block that takes longer does not end."""


@attrs.frozen(eq=False)
class _Running:
    seed: int
    process: ForkProcess
    connection: Connection
    started: float = attrs.field(factory=time.monotonic)


@attrs.define
class Blocks:
    """Those that are being tried.

    compiled: one program of so many is compiled and run.
    folder:   where failures are kept.
    """

    compiled: int
    folder: Path
    running: list[_Running] = attrs.field(factory=list)

    def start(self, seed: int) -> None:
        """Try the block of a seed."""
        context = multiprocessing.get_context("fork")
        mine, its = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(its, seed, self.compiled, self.folder))
        process.start()
        its.close()
        self.running.append(_Running(seed, process, mine))

    def finished(self, seconds: float = 5.0) -> Iterator[Outcome]:
        """What became of those that have ended, after waiting a while for the next."""
        ready = wait([block.connection for block in self.running], seconds)
        for block in list(self.running):
            late = time.monotonic() > block.started + SECONDS
            if block.connection in ready or late:
                self.running.remove(block)
                yield self._outcome(block, late)

    def _outcome(self, block: _Running, late: bool) -> Outcome:
        try:
            if not late:
                outcome: Outcome = block.connection.recv()
                block.process.join()
                return outcome
            problem = "does not end"
            block.process.kill()
            block.process.join()
        except EOFError:
            block.process.join()
            problem = f"ends its process with {block.process.exitcode}"
        return Outcome(failures=[(current(self.folder, block.seed), problem)])


def _send(connection: Connection, seed: int, compiled: int, folder: Path) -> None:
    connection.send(try_block(seed, compiled, folder))
