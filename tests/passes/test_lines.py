"""The lines that pairs of channels are summed in: as wide as takes the fewest cycles."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedules
from schedules.paired_products import pair_channels
from schedules.workload import PairedConv
from tests.schedules.harness import AVX512
from tvm_passes.lowering.pairing import Cycles, cheapest_pairing

MACHINE = schedules.machine_of(AVX512)
ROW, PLANE = 30 * 16, 30 * 30 * 16
"""Elements of a row and of a plane of channel blocks, halo included."""


def cycles(workload: PairedConv) -> float:
    return schedules.modelled_cycles(workload, MACHINE, 1)


def offsets(directions: np.ndarray) -> np.ndarray:
    """Of channels in blocks of 16 that are read one pixel away, in one of nine directions."""
    channel = np.arange(len(directions))
    moved = (directions // 3 - 1) * ROW + (directions % 3 - 1) * 16
    return PLANE + channel // 16 * PLANE + channel % 16 + moved


def ways(channels: int) -> tuple[PairedConv, ...]:
    """All widths of lines, and lines that are bounds from below."""
    workload = PairedConv(channels, 1, -(-channels // 16), 16, 784, run=28, step=16)
    pairs = channels // 6 * 2
    return tuple(attrs.evolve(workload, lines=-(-pairs // lanes), line_lanes=lanes) for lanes in (16, 8, 4))


def width(directions: np.ndarray, cost: Cycles = cycles) -> int:
    pairing = cheapest_pairing(offsets(directions), ways(len(directions)), cost)
    assert pairing is not None
    return pairing.signs.shape[1]


def test_scattered_channels_take_narrower_lines() -> None:
    plain = width(np.full(32, 4))
    shifted = width(np.arange(32) * 9 // 32)
    assert shifted < plain < 16


@given(st.lists(st.integers(0, 8), min_size=18, max_size=96))
def test_no_other_width_takes_fewer_cycles(directions: list[int]) -> None:
    at = offsets(np.array(directions))
    chosen = cheapest_pairing(at, ways(len(at)), cycles)
    for way in ways(len(at)):
        other = pair_channels(at, way.line_lanes)
        if other is not None:
            assert chosen is not None
            lines, lanes = chosen.signs.shape
            found = cycles(attrs.evolve(way, lines=lines, line_lanes=lanes))
            assert found <= cycles(attrs.evolve(way, lines=len(other.lines)))


def test_widths_that_cannot_win_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def remember(at: np.ndarray, lanes: int) -> object:
        tried.append(lanes)
        return pair_channels(at, lanes)

    monkeypatch.setattr("tvm_passes.lowering.pairing.pair_channels", remember)
    width(np.full(96, 4))
    assert len(tried) == 1


def test_narrower_lines_pair_what_shares_no_lane_of_a_vector() -> None:
    apart = np.arange(6) * PLANE + np.arange(6)
    assert pair_channels(apart, 16) is None
    assert cheapest_pairing(apart, ways(6), cycles) is not None


def test_no_lines_no_pairing() -> None:
    assert cheapest_pairing(offsets(np.full(32, 4)), (), cycles) is None
