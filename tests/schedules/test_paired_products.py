"""Which channels are paired, and what their weights become: the sums stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.paired_products import (
    GROUP,
    HEADER,
    PAIRS,
    Pairing,
    pack_paired,
    pair_channels,
    weight_scale,
    whole_lines,
)

LANES = 16


def whole_blocks(channels: int) -> np.ndarray:
    """Offsets of channels that lie one after the other, in blocks 400 elements apart."""
    channel = np.arange(channels)
    return channel // LANES * 400 + channel % LANES


def paired(pairing: Pairing) -> np.ndarray:
    """The channels of every pair, in order, [pairs, 2]."""
    groups = pairing.order[: len(pairing.order) // GROUP * GROUP].reshape(-1, GROUP)
    return groups[:, : 2 * PAIRS].reshape(-1, 2)


def check(offsets: np.ndarray, pairing: Pairing) -> None:
    """Every channel is there once, and runs of lines hold the pairs, with the signs of their forms."""
    assert sorted(pairing.order) == list(range(len(offsets)))
    from_lines = []
    for (left, right), signs in zip(pairing.lines, pairing.signs, strict=True):
        for lane in np.flatnonzero(signs):
            from_lines.append((int(left + lane), int(right + lane), int(signs[lane])))
    expected = [
        (int(offsets[a]), int(offsets[b]), -1 if i % 2 else 1) for i, (a, b) in enumerate(paired(pairing))
    ]
    assert sorted(from_lines) == sorted(expected)


@pytest.mark.parametrize("channels", [32, 58, 64, 96, 116, 147, 512])
def test_whole_blocks(channels: int) -> None:
    offsets = whole_blocks(channels)
    pairing = pair_channels(offsets, LANES)
    assert pairing is not None
    check(offsets, pairing)
    assert len(pairing.lines) == -(-len(paired(pairing)) // LANES)


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=80))
def test_any_offsets(offsets: list[int]) -> None:
    """Repeated ones and negative ones too; where none are paired, too few lines share a lane."""
    at = np.array(offsets)
    pairing = pair_channels(at, LANES)
    if pairing is not None:
        check(at, pairing)
    elif len(at) >= GROUP:
        lines = np.bincount(at % LANES, minlength=LANES)
        assert (lines // 2).sum() < PAIRS * (len(at) // GROUP)


@pytest.mark.parametrize("channels", [44, 58, 116])
def test_what_is_paired_does_not_depend_on_where_tensors_lie(channels: int) -> None:
    """Blocks in any order in memory, of channels each of which is moved within a few lines."""
    moved = whole_blocks(channels) + np.arange(channels) % 3 * LANES
    pairing = pair_channels(moved, LANES)
    assert pairing is not None
    places = np.random.default_rng(0).permutation(-(-channels // LANES)) * 400
    blocks = np.arange(channels) // LANES
    elsewhere = pair_channels(moved + (places - np.arange(len(places)) * 400)[blocks], LANES)
    assert elsewhere is not None
    np.testing.assert_array_equal(elsewhere.order, pairing.order)
    np.testing.assert_array_equal(elsewhere.signs, pairing.signs)


@pytest.mark.parametrize(
    "offsets", [np.arange(5), np.arange(16), np.arange(12) * 17], ids=["few", "one line", "no common lane"]
)
def test_channels_without_partners_are_refused(offsets: np.ndarray) -> None:
    assert pair_channels(offsets, LANES) is None


@pytest.mark.parametrize(
    ("width", "columns", "lanes"),
    [
        (4, 32, 4),
        (8, 32, 8),
        (12, 32, 4),
        (16, 32, 16),
        (32, 64, 16),
        (4, 30, None),
        (7, 32, None),
        (2, 32, None),
    ],
)
def test_whole_lines_of_patches(width: int, columns: int, lanes: int | None) -> None:
    """Three rows of a patch in planes of so many columns."""
    offsets = np.add.outer(np.arange(3) * columns, np.arange(width)).ravel()
    assert whole_lines(offsets, LANES) == lanes
    if lanes is not None:
        pairing = pair_channels(offsets, lanes)
        assert pairing is not None
        check(offsets, pairing)
        read = np.add.outer(pairing.lines.ravel(), np.arange(lanes)).ravel()
        assert set(read) <= set(offsets)


def test_the_weights_come_to_the_magnitude_of_the_inputs() -> None:
    weights = np.random.default_rng(0).standard_normal((16, 40)).astype(np.float32)
    for size in (1e-6, 0.03, 1.0, 500.0):
        scaled = weights * size * weight_scale(weights * np.float32(size))
        assert 0.7 < np.sqrt(np.mean(scaled**2)) < 1.42
    assert weight_scale(np.zeros((16, 6), np.float32)) == 1.0


def test_the_sum_of_products_comes_back() -> None:
    """The kernel's arithmetic on the packed weights, in float64."""
    rng = np.random.default_rng(3)
    channels, rows = 20, 32
    weights, x = rng.standard_normal((rows, channels)).astype(np.float32), rng.standard_normal(channels)
    packed = pack_paired(weights, LANES).astype(np.float64).reshape(rows // LANES, HEADER + channels, LANES)
    start, scale, k = packed[:, 0], packed[:, 1], packed[:, HEADER:]
    total = start.copy()
    for c in range(0, channels - channels % GROUP, GROUP):
        total += (x[c] + k[:, c + 1]) * (x[c + 1] + k[:, c]) - x[c] * x[c + 1]
        total += (x[c + 2] + k[:, c + 3]) * (k[:, c + 2] - x[c + 3]) + x[c + 2] * x[c + 3]
        total += x[c + 4] * k[:, c + 4] + x[c + 5] * k[:, c + 5]
    for c in range(channels - channels % GROUP, channels):
        total += x[c] * k[:, c]
    np.testing.assert_allclose((total * scale).ravel(), weights @ x, atol=1e-5)
