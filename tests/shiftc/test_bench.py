"""The parts of a comparison that need no clock."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from functools import partial
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
from tvm.target import codegen

from shiftc.bench.contention import busy_cores, time_contended
from shiftc.bench.contestants import relative_error
from shiftc.bench.floor import Floor, floor_of
from shiftc.bench.instruction_set import hold_to
from shiftc.bench.lookout import Look, Sight, best_of, lookout
from shiftc.bench.machine import Machine, this_machine
from shiftc.bench.peer import find_peer
from shiftc.bench.pinning import on_one_core
from shiftc.bench.report import Comparison, Timing
from shiftc.bench.turns import Runnable, Turns, plan_turns, time_in_turns
from shiftc.errors import PeerError


def always(sight: Sight) -> Look:
    return lambda: sight


CALM = always(Sight(1.0))


def test_everyone_gets_every_turn() -> None:
    calls: Counter[str] = Counter()
    measured = time_in_turns({name: partial(calls.update, [name]) for name in "abc"}, rounds=4, look=CALM)
    assert {name: len(times) for name, times in measured.seconds.items()} == {"a": 4, "b": 4, "c": 4}
    assert all(seconds > 0 for times in measured.seconds.values() for seconds in times)
    assert not measured.disturbed
    assert len(set(calls.values())) == 1


def test_turns_are_bursts_and_rotate() -> None:
    order: list[str] = []
    time_in_turns({name: partial(order.append, name) for name in "abc"}, rounds=3, look=CALM)
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
    measured = time_in_turns(sleeps, rounds=4, look=CALM, budgets={"b": 1e-3})
    assert {name: len(times) for name, times in measured.seconds.items()} == {"a": 4, "b": 1}


class Weather:
    """Looks that take so long, one after the other; the last one for ever."""

    def __init__(self, *loops: float) -> None:
        self._loops = list(loops)
        self.looks = 0

    def look(self) -> Sight:
        self.looks += 1
        return Sight(self._loops.pop(0) if len(self._loops) > 1 else self._loops[0])


def test_disturbed_turns_are_taken_again() -> None:
    """Of five turns, the second and the third have a look of 2 beside them."""
    weather = Weather(1, 1, 2, 1, 1, 1)
    measured = time_in_turns({"a": lambda: None}, rounds=3, look=weather.look, waits=0)
    assert len(measured.seconds["a"]) == 3
    assert weather.looks == 1 + 5
    assert not measured.disturbed


def test_what_was_calm_is_known_by_the_best_ever_seen() -> None:
    """Three turns at 2 look calm until a look takes 1; then they are taken again."""
    weather = Weather(2, 2, 2, 1)
    measured = time_in_turns({"a": lambda: None, "b": lambda: None}, rounds=2, look=weather.look)
    assert weather.looks == 1 + 3 + 4
    assert {name: len(times) for name, times in measured.seconds.items()} == {"a": 2, "b": 2}


def test_where_patience_ends_all_are_judged_alike() -> None:
    """No turn is calm; the first six, three of each, are calmer than the others."""
    weather = Weather(1, *[1.2] * 6, 1.3)
    both: dict[str, Runnable] = {"a": lambda: None, "b": lambda: None}
    measured = time_in_turns(both, rounds=4, look=weather.look, waits=0)
    assert weather.looks == 1 + 2 * 16
    assert measured.disturbed
    assert {name: len(times) for name, times in measured.seconds.items()} == {"a": 3, "b": 3}


def test_three_calm_turns_are_enough_where_patience_ends() -> None:
    weather = Weather(1, 1, 1, 1, 2)
    measured = time_in_turns({"a": lambda: None}, rounds=4, look=weather.look, waits=0)
    assert len(measured.seconds["a"]) == 3
    assert not measured.disturbed


def test_calm_is_waited_for_before_a_turn() -> None:
    weather = Weather(1, 1, 1, 2, 2, 2, 1)
    measured = time_in_turns({"a": lambda: None}, rounds=3, look=weather.look)
    repeated = 3 + 1  # the third turn was disturbed: three looks until it could be taken again
    assert weather.looks == 1 + 3 + repeated
    assert len(measured.seconds["a"]) == 3
    assert not measured.disturbed


def test_unrest_is_what_the_best_is_exceeded_by() -> None:
    best = best_of([Sight(1.0, 90e-9), Sight(2.0, 30e-9)])
    assert best == Sight(1.0, 30e-9)
    assert Sight(1.03, 50e-9).unrest(best) < 1
    assert Sight(1.1, 30e-9).unrest(best) == pytest.approx(2)
    assert Sight(1.0, 120e-9).unrest(best) == pytest.approx(3)
    assert Sight(1.1).unrest(Sight(1.0)) == pytest.approx(2)


@pytest.mark.parametrize("threads", [1, 2])
def test_looking_takes_time(threads: int) -> None:
    sight = lookout(threads)()
    assert sight.loop > 0
    assert (sight.meeting > 0) is (threads > 1)


def test_relative_error() -> None:
    reference = [np.array([1.0, -4.0]), np.array([0.0])]
    assert relative_error(reference, reference) == 0
    assert relative_error([np.array([1.0, -4.5]), np.array([0.0])], reference) == 0.125
    assert relative_error([np.array([1.0, -4.0]), np.array([0.25])], reference) == 0.25


def test_no_number_is_no_agreement() -> None:
    assert relative_error([np.array([np.nan])], [np.array([1.0])]) == np.inf


def test_floor_of_medians_and_minima() -> None:
    floor = floor_of(macs=10**9, loop_flops=2 * 10**8, loop_seconds=[1e-4, 3e-4, 2e-4])
    assert floor.seconds == pytest.approx(2e-3)
    assert floor.best_seconds == pytest.approx(1e-3)


def test_comparison() -> None:
    ours = Timing("shiftc", "1", (2e-3, 4e-3, 3e-3))
    peer = Timing("peer", "2", (6e-3, 7e-3, 9e-3), wider=True)
    absent = Timing("absent", "3", failure="cannot")
    floor = Floor(10**9, median_peak=5e11, best_peak=1e12)
    comparison = Comparison(2, ours, (peer, absent), floor, True, 5 * 10**8, 4096, 2048)
    assert comparison.ratios == {"peer": pytest.approx(7 / 3)}
    assert comparison.ratios_of_minima == {"peer": pytest.approx(3.0)}
    report = comparison.as_json()
    assert report["of_floor"] == pytest.approx(2 / 3)
    assert report["of_floor_min"] == pytest.approx(1 / 2)
    assert report["runtimes"]["absent"] == {"version": "3", "error": None, "failure": "cannot"}
    assert report["runtimes"]["peer"]["wider_instructions"] is True
    assert report["runtimes"]["shiftc"]["turns_ms"] == [2.0, 4.0, 3.0]
    assert report["disturbed"] is True
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


@pytest.mark.parametrize("back_to_back", [True, False])
def test_on_a_contended_machine_every_call_counts(back_to_back: bool) -> None:
    calls: list[str] = []
    runnables = {name: partial(calls.append, name) for name in "ab"}
    measured = time_contended(runnables, 2, back_to_back)
    timed = "".join(calls)[20:]  # ten of each find out how long they take
    assert {name: len(seconds) for name, seconds in measured.seconds.items()} == {"a": 200, "b": 200}
    assert timed == ("ab" * 200 if back_to_back else ("a" * 100 + "b" * 100) * 2)


def test_busy_cores_are_busy_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def recorded(command: list[str]) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command))
        return started[-1]

    monkeypatch.setattr("shiftc.bench.contention.subprocess", SimpleNamespace(Popen=recorded))
    with busy_cores(1):
        (process,) = started
        assert process.poll() is None
        assert process.args[-1] == str(max(os.sched_getaffinity(0)))
    assert process.poll() is not None
    with pytest.raises(ValueError, match="cannot be kept busy"), busy_cores(10_000):
        pass


def test_what_nine_of_ten_calls_do_not_exceed() -> None:
    timing = Timing("a", "1", tuple(float(number) for number in range(20, 0, -1)), of_calls=True)
    assert timing.percentile_90 == 18.0
    assert "turns_ms" not in timing.as_json() and timing.as_json()["p90_ms"] == 18e3
