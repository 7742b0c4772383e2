"""Whatever a candidate does, the search goes on."""

from __future__ import annotations

import ctypes
import operator
import os
import signal
import time
from collections.abc import Iterator

import pytest

from schedules.tuning.process import CallError, IsolatedProcess


@pytest.fixture(scope="module")
def process() -> Iterator[IsolatedProcess]:
    with IsolatedProcess() as process:
        yield process


def test_calls_run_elsewhere_and_answer(process: IsolatedProcess) -> None:
    there = process.call(os.getpid, seconds=30)
    assert there != os.getpid()
    assert process.call(os.getpid, seconds=30) == there
    assert process.call(operator.add, [1], [2], seconds=30) == [1, 2]


def test_exceptions_cost_the_call_only(process: IsolatedProcess) -> None:
    there = process.call(os.getpid, seconds=30)
    with pytest.raises(CallError, match="invalid literal") as caught:
        process.call(int, "beads", seconds=30)
    assert caught.value.kind == "ValueError"
    assert process.call(os.getpid, seconds=30) == there


def test_ctrl_c_is_not_for_the_process(process: IsolatedProcess) -> None:
    group = process.call(os.getpgrp, seconds=30)
    assert group != os.getpgrp()


def test_a_crash_ends_the_process_and_the_next_call_starts_another(process: IsolatedProcess) -> None:
    there = process.call(os.getpid, seconds=30)
    with pytest.raises(CallError, match="SIGSEGV") as caught:
        process.call(ctypes.string_at, 0, seconds=30)
    assert caught.value.kind == "crash"
    assert not process.alive
    generation = process.generation
    assert process.call(os.getpid, seconds=30) != there
    assert process.generation == generation + 1


def test_a_call_that_hangs_is_ended(process: IsolatedProcess) -> None:
    there = process.call(os.getpid, seconds=30)
    started = time.monotonic()
    with pytest.raises(CallError, match=r"within 0\.2 seconds") as caught:
        process.call(time.sleep, 600, seconds=0.2)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started < 60
    with pytest.raises(ProcessLookupError):
        os.kill(there, 0)


def test_an_overdue_process_ends_itself(process: IsolatedProcess) -> None:
    """Even where nobody is left to end it, and though it never returns to Python."""
    with pytest.raises(CallError, match="SIGALRM"):
        process.call(_with_alarm_set, seconds=30)


def _with_alarm_set() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    signal.pause()
