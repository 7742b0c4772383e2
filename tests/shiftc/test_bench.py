"""The parts of a comparison that need no clock."""

from __future__ import annotations

import os
import time
from collections import Counter
from functools import partial
from itertools import groupby

import numpy as np
import pytest
from tvm.target import codegen

from shiftc.bench.contestants import relative_error
from shiftc.bench.floor import Floor, floor_of
from shiftc.bench.instruction_set import hold_to
from shiftc.bench.machine import Machine, this_machine
from shiftc.bench.peer import find_peer
from shiftc.bench.pinning import on_one_core
from shiftc.bench.report import Comparison, Timing
from shiftc.bench.turns import Turns, plan_turns, time_calmly, time_in_turns, unrest
from shiftc.errors import PeerError


def test_everyone_gets_every_turn() -> None:
    calls: Counter[str] = Counter()
    measured = time_in_turns({name: partial(calls.update, [name]) for name in "abc"}, rounds=4)
    assert {name: len(times) for name, times in measured.items()} == {"a": 4, "b": 4, "c": 4}
    assert all(seconds > 0 for times in measured.values() for seconds in times)
    assert len(set(calls.values())) == 1


def test_turns_are_bursts_and_rotate() -> None:
    order: list[str] = []
    time_in_turns({name: partial(order.append, name) for name in "abc"}, rounds=3)
    bursts = [name for name, _ in groupby(order[6:])]  # two calls of each estimated how long they take
    assert bursts == [*"abc", *"bca", *"cab"]


def test_a_turn_is_warm_calls_and_timed_ones() -> None:
    assert plan_turns(1e-3, rounds=15) == Turns(15, warm=2, timed=20)
    assert plan_turns(1e-6, rounds=15) == Turns(15, warm=2, timed=50)
    assert plan_turns(0.1, rounds=15) == Turns(15, warm=1, timed=1)


def test_the_slow_get_fewer_turns() -> None:
    assert plan_turns(1.0, rounds=15, budget=10) == Turns(5, warm=1, timed=1)
    assert plan_turns(2.5, rounds=15, budget=10) == Turns(3, warm=1, timed=1)
    assert plan_turns(4.0, rounds=15, budget=10) == Turns(2, warm=0, timed=1)
    assert plan_turns(60.0, rounds=15, budget=10) == Turns(1, warm=0, timed=1)


def test_a_runnable_has_a_budget_of_its_own() -> None:
    sleeps = {name: partial(time.sleep, 2e-3) for name in "ab"}
    measured = time_in_turns(sleeps, rounds=4, budgets={"b": 1e-3})
    assert {name: len(times) for name, times in measured.items()} == {"a": 4, "b": 1}


def test_the_calmest_of_three_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = [{"a": (1.0, 2.0, 2.0)}, {"a": (1.0, 1.1, 1.2)}, {"a": (1.0, 1.3, 1.3)}]
    pending = list(tries)
    monkeypatch.setattr("shiftc.bench.turns.time_in_turns", lambda *_: pending.pop(0))
    assert time_calmly({}, rounds=3) is tries[1]
    assert not pending


def test_a_calm_machine_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pending = [{"a": (1.0, 1.01, 1.02)}]
    monkeypatch.setattr("shiftc.bench.turns.time_in_turns", lambda *_: pending.pop(0))
    assert unrest(time_calmly({}, rounds=3)) == pytest.approx(0.01)


def test_unrest_is_that_of_all() -> None:
    assert unrest({"a": [1.0, 9.0, 9.0], "b": [1.0, 1.1, 1.2], "c": [2.0]}) == pytest.approx(0.1)


def test_relative_error() -> None:
    reference = [np.array([1.0, -4.0]), np.array([0.0])]
    assert relative_error(reference, reference) == 0
    assert relative_error([np.array([1.0, -4.5]), np.array([0.0])], reference) == 0.125
    assert relative_error([np.array([1.0, -4.0]), np.array([0.25])], reference) == 0.25


def test_no_number_is_no_agreement() -> None:
    assert relative_error([np.array([np.nan])], [np.array([1.0])]) == np.inf


def test_floor_of_medians_and_minima() -> None:
    floor = floor_of(macs=10**9, loop_flops=10**8, loop_seconds=[1e-4, 3e-4, 2e-4], threads=2)
    assert floor.seconds == pytest.approx(2e-3)
    assert floor.best_seconds == pytest.approx(1e-3)


def test_comparison() -> None:
    ours = Timing("shiftc", "1", (2e-3, 4e-3, 3e-3))
    peer = Timing("peer", "2", (6e-3, 7e-3, 9e-3), wider=True)
    absent = Timing("absent", "3", failure="cannot")
    floor = Floor(10**9, median_peak=5e11, best_peak=1e12)
    comparison = Comparison(2, ours, (peer, absent), floor, 5 * 10**8, 4096, 2048)
    assert comparison.ratios == {"peer": pytest.approx(7 / 3)}
    assert comparison.ratios_of_minima == {"peer": pytest.approx(3.0)}
    report = comparison.as_json()
    assert report["of_floor"] == pytest.approx(2 / 3)
    assert report["of_floor_min"] == pytest.approx(1 / 2)
    assert report["runtimes"]["absent"] == {"version": "3", "error": None, "failure": "cannot"}
    assert report["runtimes"]["peer"]["wider_instructions"] is True
    assert report["runtimes"]["shiftc"]["turns_ms"] == [2.0, 4.0, 3.0]
    assert "wider_instructions" not in report["runtimes"]["shiftc"]


def test_single_threaded_work_stays_on_a_core() -> None:
    cores = os.sched_getaffinity(0)
    with on_one_core(threads=1):
        assert os.sched_getaffinity(0) == {max(cores)}
    with on_one_core(threads=2):
        assert os.sched_getaffinity(0) == cores
    assert os.sched_getaffinity(0) == cores


def test_peers_are_held_to_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shiftc.bench.instruction_set.missing_features", lambda features: ())
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    peers = [find_peer(name) for name in ("onnxruntime", "openvino", "tvm")]
    everyone = {"onnxruntime", "openvino", "tvm"}
    assert hold_to("llvm -mcpu=znver4", peers) == everyone
    assert "ONEDNN_MAX_CPU_ISA" not in os.environ
    assert hold_to("llvm -mcpu=haswell", peers) == {"openvino", "tvm"}
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.setattr("shiftc.bench.instruction_set.missing_features", lambda features: features)
    assert hold_to("llvm -mcpu=haswell", peers) == everyone  # this machine has nothing wider
    assert "ONEDNN_MAX_CPU_ISA" not in os.environ


def test_machine_has_a_file_name() -> None:
    machine = Machine("AMD EPYC(tm) 9 @ 3.0GHz (znver4)", "x86_64", 2, "Linux", "3.11")
    assert machine.slug == "amd-epyc-tm-9-3-0ghz-znver4-2-cores"
    assert codegen.llvm_get_system_cpu() in this_machine().processor


def test_unknown_peer() -> None:
    with pytest.raises(PeerError, match="onnxruntime, openvino, tvm"):
        find_peer("abacus")
    assert find_peer("tvm").version.startswith("0.27")
