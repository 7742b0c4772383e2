"""Tasks that claim parts of shared work: all parts, each once, in whatever order tasks come."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

import schedules
from schedules.claims import LEDGERS, NO_LEDGER, Ledgers, claim, claiming, units_of
from schedules.launch import LINE, NONE
from schedules.parallelism import share
from schedules.sharing import ledgers_of
from schedules.workload import IndexedConv, Softmax, WinogradInput, Workload
from tests.schedules.harness import executed_targets

TARGET = executed_targets()[0]
LANES = schedules.machine_of(TARGET).lanes


@cache
def _function(tasks: int, units: int, shift: int) -> Any:
    """`main(ledgers, part, round, ledger, task, previous)`: writes the part that is claimed."""
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        ledgers = T.arg("ledgers", T.buffer((LINE * tasks * LEDGERS,), "uint8"))
        part = T.arg("part", T.buffer((1,), "int32"))
        meeting = T.arg("round", T.int64())
        ledger, task, previous = (T.arg(name, T.int32()) for name in ("ledger", "task", "previous"))
        at = T.address_of(ledgers[0])
        T.buffer_store(part, claim(at, meeting, ledger, task, tasks, units, shift, previous), [0])
    func = builder.get()
    module = tvm.IRModule({"main": func.with_body(claiming(func.body))})
    return tvm.compile(module, target=TARGET, tir_pipeline=schedules.PIPELINE_NAME)["main"]


class Work:
    """A ledger, and what tasks claim of it."""

    def __init__(self, tasks: int, units: int, shift: int = 0, ledger: int = 0) -> None:
        self.tasks, self.units, self.ledger = tasks, units, ledger
        self._main = _function(tasks, units, shift)
        self._ledgers = tvm.runtime.tensor(np.zeros(Ledgers.bytes(tasks), np.uint8))
        self._part = tvm.runtime.tensor(np.zeros(1, np.int32))

    def claim(self, task: int, meeting: int, previous: int = NONE) -> int:
        self._main(self._ledgers, self._part, meeting, self.ledger, task, previous)
        return int(self._part.numpy()[0])

    def parts(self, task: int, meeting: int) -> Iterator[int]:
        """All that a task claims."""
        part = self.claim(task, meeting)
        while part < self.units:
            yield part
            part = self.claim(task, meeting, part)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([(2, 1), (2, 2), (2, 7), (2, 16), (3, 16), (3, 2), (4, 32), (5, 9)]))
def test_every_part_once_whoever_comes_first(data: st.DataObject, sizes: tuple[int, int]) -> None:
    tasks, units = sizes
    work = Work(tasks, units, ledger=data.draw(st.integers(0, LEDGERS - 1)))
    for meeting in (0, tasks, 2 * tasks):
        going = dict.fromkeys(range(tasks), NONE)
        claimed = []
        while going:
            task = data.draw(st.sampled_from(sorted(going)))
            going[task] = work.claim(task, meeting, going[task])
            if going[task] == units:
                del going[task]
            else:
                claimed.append(going[task])
        assert sorted(claimed) == list(range(units))


def test_a_task_begins_with_its_share_and_goes_on_with_what_is_left_of_others() -> None:
    work = Work(3, 9)
    assert work.claim(2, 0) == 6
    assert list(work.parts(1, 0)) == [3, 4, 5, 7, 8, 0, 1, 2]
    assert list(work.parts(0, 0)) == []
    assert work.claim(2, 0, 6) == 9


def test_each_round_begins_anew() -> None:
    work = Work(2, 4)
    for meeting in (0, 2, 4, 1 << 40):
        assert list(work.parts(1, meeting)) == [2, 3, 0, 1]


@pytest.mark.parametrize(
    ("tasks", "units", "shift"), [(2, 9, 0), (2, 9, 1), (3, 2, 2), (4, 30, 3), (3, 1, 1)]
)
def test_without_a_ledger_tasks_keep_to_their_shares(tasks: int, units: int, shift: int) -> None:
    work = Work(tasks, units, shift)
    for task in range(tasks):
        assert list(work.parts(task, NO_LEDGER)) == list(share(task, units, tasks, shift))


@pytest.mark.parametrize(("tasks", "units", "shift"), [(2, 9, 1), (3, 17, 2)])
def test_with_a_ledger_shares_are_the_same(tasks: int, units: int, shift: int) -> None:
    work = Work(tasks, units, shift)
    assert [work.claim(task, 0) for task in range(tasks)] == [
        share(task, units, tasks, shift)[0] for task in range(tasks)
    ]


def test_a_loop_is_cut_into_few_units() -> None:
    assert [units_of(count, 2) for count in (1, 7, 16, 17, 1000)] == [1, 7, 16, 16, 16]


def _ledgers(workload: Workload, threads: int = 2) -> int:
    return ledgers_of(schedules.build(workload, TARGET, threads).func)


def test_loops_that_are_long_have_ledgers() -> None:
    """Not one over what is left of the pixels, nor one that loops around run often."""
    assert _ledgers(Softmax(16 * LANES - 1, 16, LANES, 2001)) == 1
    assert _ledgers(WinogradInput(4, 3, LANES, 400, 20 * LANES, LANES)) == 3
    assert _ledgers(WinogradInput(4, 9, LANES, 400, 20 * LANES, LANES)) == 0
    assert _ledgers(IndexedConv(64, 8, LANES, 400)) >= 1
    assert _ledgers(IndexedConv(64, 8, LANES, 400), threads=1) == 0
