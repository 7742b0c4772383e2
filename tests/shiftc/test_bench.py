"""The parts of a comparison that need no clock."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import numpy as np
import pytest

from shiftc.bench.compare import relative_error
from shiftc.bench.floor import floor_of
from shiftc.bench.machine import Machine, this_machine
from shiftc.bench.peer import find_peer
from shiftc.bench.report import Comparison, Timing
from shiftc.bench.turns import time_in_turns
from shiftc.errors import PeerError


def test_everyone_gets_every_turn() -> None:
    calls: Counter[str] = Counter()
    measured = time_in_turns({name: partial(calls.update, [name]) for name in "abc"}, rounds=4)
    assert {name: len(times) for name, times in measured.items()} == {"a": 4, "b": 4, "c": 4}
    assert all(seconds > 0 for times in measured.values() for seconds in times)
    assert all(calls[name] >= 4 for name in "abc")


def test_turns_alternate() -> None:
    order: list[str] = []

    def note(name: str) -> None:
        time.sleep(3e-3)  # longer than a turn's share, so that a turn is two calls
        order.append(name)

    time_in_turns({name: partial(note, name) for name in "ab"}, rounds=3)
    assert "".join(order) == "ab" + "ab" + "aabb" + "bbaa" + "aabb"


def test_relative_error() -> None:
    reference = [np.array([1.0, -4.0]), np.array([0.0])]
    assert relative_error(reference, reference) == 0
    assert relative_error([np.array([1.0, -4.5]), np.array([0.0])], reference) == 0.125
    assert relative_error([np.array([1.0, -4.0]), np.array([0.25])], reference) == 0.25


def test_no_number_is_no_agreement() -> None:
    assert relative_error([np.array([np.nan])], [np.array([1.0])]) == np.inf


def test_floor_and_ratios() -> None:
    ours = Timing("shiftc", "1", (2e-3, 4e-3, 3e-3))
    peer = Timing("peer", "2", (6e-3,))
    absent = Timing("absent", "3", failure="cannot")
    comparison = Comparison(2, ours, (peer, absent), floor_of(macs=10**9, peak=1e12, threads=2))
    assert comparison.floor.seconds == pytest.approx(1e-3)
    assert comparison.ratios == {"peer": pytest.approx(2.0)}
    report = comparison.as_json()
    assert report["of_floor"] == pytest.approx(1 / 3)
    assert report["runtimes"]["absent"] == {"version": "3", "error": None, "failure": "cannot"}


def test_machine_has_a_file_name() -> None:
    machine = Machine("AMD EPYC(tm) 9 @ 3.0GHz", "x86_64", 2, "Linux", "3.11")
    assert machine.slug == "amd-epyc-tm-9-3-0ghz-2-cores"
    assert this_machine().processor


def test_unknown_peer() -> None:
    with pytest.raises(PeerError, match="onnxruntime, openvino, tvm"):
        find_peer("abacus")
    assert find_peer("tvm").version.startswith("0.27")
