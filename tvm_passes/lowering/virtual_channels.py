"""What a convolution's sums are made of: where input channels lie at each tap, and their weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..array import Array
from ..channel_view import ChannelView
from ..placement import ZERO_BASE, Blocked
from ..stage import Stage
from ..summation import virtual_order
from .borders import Pixels
from .groups import VectorGroups, share_tables
from .operands import spread_rows
from .vectors import Vectors

Weights = Callable[[], Array]
"""Made when asked for: most ways to cut an output into vectors are only compared."""


def virtual_channels(
    stage: Stage, view: ChannelView, output: Blocked, pixels: Pixels, vectors: Vectors
) -> tuple[Array, Weights]:
    """Channel offsets [tables, virtual channels] and weights [vectors * lanes, virtual channels].

    Of the taps that the class of pixels reads; where it reads none, one channel of zeros.
    """
    of = _of_all if stage.groups == 1 or not pixels.taps.size else _of_groups
    return of(stage, view, output, pixels, vectors)


def taps_of(stage: Stage, view: ChannelView, pixels: Pixels) -> tuple[Array, Array]:
    """What each of the class's taps adds to an offset, [T], and their weights, [O, I / groups, T].

    Of a class without taps, one of weight zero that `ZERO_BASE` is to be added to.
    """
    assert stage.weight is not None
    weight = stage.weight.reshape(*stage.weight.shape[:2], -1)
    offsets = view.tap_offsets(stage.window, pixels.residue)
    if not pixels.taps.size:
        return offsets[[pixels.beside]], np.zeros_like(weight[:, :, :1])
    return offsets[pixels.taps], weight[:, :, pixels.taps]


def _of_all(
    stage: Stage, view: ChannelView, output: Blocked, pixels: Pixels, vectors: Vectors
) -> tuple[Array, Weights]:
    """One table for all vectors."""
    used = np.flatnonzero(view.source >= 0)
    taps, weight = taps_of(stage, view, pixels)
    if not pixels.taps.size:
        return ZERO_BASE + taps[None, :], lambda: spread_rows(weight[:, 0], output)[vectors.rows]
    if not used.size:  # everything reads zero: one virtual channel of weight zero keeps the kernel whole
        used, weight = np.zeros(1, np.int64), np.zeros_like(weight)
    channel, tap = virtual_order(len(used), len(taps), view.extent.lanes)
    offsets = view.bases()[used][channel] + taps[tap]
    return offsets[None, :], lambda: spread_rows(weight[:, used[channel], tap], output)[vectors.rows]


def _of_groups(
    stage: Stage, view: ChannelView, output: Blocked, pixels: Pixels, vectors: Vectors
) -> tuple[Array, Weights]:
    """One table per vector: the channels of all groups whose outputs lie in it, zero-weighted across."""
    taps, weight = taps_of(stage, view, pixels)
    groups = VectorGroups.of(stage.groups, output, vectors)
    channel, tap = virtual_order(weight.shape[1], len(taps), view.extent.lanes)
    offsets = groups.tables(view.bases().reshape(stage.groups, -1)[:, channel] + taps[tap])
    return share_tables(offsets), lambda: groups.weights(weight[:, channel, tap])
