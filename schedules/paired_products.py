"""Two products as one product of sums: the arithmetic of the paired convolution, as data.

    x0 k0 + x1 k1 = (x0 + k1) (x1 + k0) - x0 x1 - k0 k1
                  = (x0 - k1) (k0 - x1) + x0 x1 + k0 k1

(S. Winograd, "A New Algorithm for Inner Products", IEEE Trans. Computers C-17, 1968.) The sum of k0 k1 is a
constant of each output channel, that of x0 x1 is the same for all of them. What remains costs one
multiply-add and two additions, which is less where additions have ports of their own.

The two forms alternate, so that what is subtracted in the end does not outgrow the result. A rounding error
is relative to (|x| + |k|)²: the weights are scaled by a power of two to the magnitude that x is taken to
have.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

GROUP = 6
"""Channels of one step of the reduction: a pair of either form, and two that are multiplied as they are."""
PAIRS = 2
"""Pairs among them: the first four channels."""
ADDITIONS, MULTIPLY_ADDS = 4, 4
"""Vector instructions of a step."""
NEGATED = 3
"""The channel of a group whose weight is stored negated."""
HEADER = 2
"""Vectors in front of a block's weights: what its sum starts from, and one over the weights' scale."""

MAGNITUDE = 1.0
"""Root mean square of the inputs, as normalizations leave it."""
LOWEST, HIGHEST = 1 / 8, 64.0
"""Where the largest of some inputs may lie; what pairing loses is then below 1e-5 of the largest result."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]


@attrs.frozen(eq=False)
class Pairing:
    """Which virtual channels are multiplied in pairs.

    order: of the virtual channels, group by group, [virtual channels]; what fills no group is last.
    lines: offsets of the two vectors that hold the channels of a run of pairs, [runs, 2].
    signs: for every lane of a run, 1 for a pair of the first form, -1 of the second, else 0, [runs, lanes].
    """

    order: Integers
    lines: Integers
    signs: Floats


def pair_channels(offsets: Integers, lanes: int) -> Pairing | None:
    """Pairs of channels that lie in the same lane of two lines; lines that share most lanes come first.

    offsets: of the virtual channels, in elements; a line is `lanes` elements from a multiple of that on.
    None if too few channels share a lane, or there are too few of them for one group.
    """
    wanted = PAIRS * (len(offsets) // GROUP)
    lines, channel = _lines(offsets, lanes)
    free = channel >= 0
    shared = free.astype(np.int32) @ free.T.astype(np.int32)
    np.fill_diagonal(shared, 0)
    runs: list[tuple[int, int, Floats]] = []
    pairs: list[tuple[int, int]] = []
    while len(pairs) < wanted:
        first, second = np.unravel_index(int(shared.argmax()), shared.shape)
        if shared[first, second] == 0:
            return None
        common = np.flatnonzero(free[first] & free[second])[: wanted - len(pairs)]
        form = np.where((len(pairs) + np.arange(len(common))) % PAIRS, -1, 1)
        signs = np.zeros(lanes, np.float32)
        signs[common] = form
        runs.append((lines[first], lines[second], signs))
        pairs += list(zip(channel[first, common], channel[second, common], strict=True))
        free[[[first], [second]], common] = False
        for line in (first, second):
            shared[line] = shared[:, line] = (free & free[line]).sum(axis=1)
            shared[line, line] = 0
    if not pairs:
        return None
    paired = np.array(pairs).reshape(-1, 2 * PAIRS)
    plain = np.setdiff1d(np.arange(len(offsets)), paired)
    groups = len(paired)
    singles = plain[: groups * (GROUP - 2 * PAIRS)].reshape(groups, -1)
    order = np.concatenate([np.concatenate([paired, singles], axis=1).reshape(-1), plain[singles.size :]])
    first_lines, second_lines, signs_of = zip(*runs, strict=True)
    return Pairing(order, np.stack([first_lines, second_lines], axis=1), np.stack(signs_of))


def whole_lines(offsets: Integers, lanes: int) -> int | None:
    """The elements of a line, `lanes` at most and four at least, where a line holds nothing but channels.

    None if there are no such lines. What lies beside a patch of an image may be out of bounds.
    """
    for width in (lanes >> halvings for halvings in range(lanes.bit_length() - 2)):
        _, counts = np.unique(np.unique(offsets) // width, return_counts=True)
        if (counts == width).all():
            return width
    return None


def _lines(offsets: Integers, lanes: int) -> tuple[Integers, Integers]:
    """The distinct lines, and the channel in every lane of them, -1 for none: [lines], [lines, lanes].

    A line in which two channels lie in the same place is there twice. They are in the order of their first
    channels, so that what is paired does not depend on where tensors lie.
    """
    order = np.lexsort((np.arange(len(offsets)), offsets))
    repeat = np.zeros(len(offsets), np.int64)
    same = np.diff(offsets[order], prepend=offsets.min() - 1) == 0
    starts = np.flatnonzero(~same)
    repeat[order] = np.arange(len(offsets)) - starts[np.cumsum(~same) - 1]
    keys = np.stack([offsets // lanes * lanes, repeat], axis=1)
    unique, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    channel = np.full((len(unique), lanes), -1)
    channel[index.reshape(-1), offsets % lanes] = np.arange(len(offsets))
    by_channel = np.argsort(first)
    return unique[by_channel, 0], channel[by_channel]


def weight_scale(weights: Floats) -> float:
    """The power of two that brings the root mean square of the weights next to the inputs'; 1 for zeros."""
    size = float(np.sqrt(np.mean(np.square(weights, dtype=np.float64))))
    if size == 0.0:
        return 1.0
    return float(2.0 ** np.clip(round(math.log2(MAGNITUDE / size)), -60, 60))


def pack_paired(weights: Floats, lanes: int) -> Floats:
    """[blocks * lanes, virtual channels in a pairing's order] → [block][header and channels][lane], flat."""
    rows, channels = weights.shape
    scale = weight_scale(weights)
    scaled = weights.astype(np.float64) * scale
    grouped = channels - channels % GROUP
    groups = scaled[:, :grouped].reshape(rows, -1, GROUP)
    start = (groups[..., 2] * groups[..., 3] - groups[..., 0] * groups[..., 1]).sum(axis=1)
    groups[..., NEGATED] *= -1
    packed = np.concatenate([start[:, None], np.full((rows, 1), 1 / scale), scaled], axis=1)
    packed[:, HEADER : HEADER + grouped] = groups.reshape(rows, -1)
    blocked = packed.reshape(rows // lanes, lanes, HEADER + channels).transpose(0, 2, 1)
    return np.ascontiguousarray(blocked, dtype=np.float32).reshape(-1)


def unpack_paired(packed: Floats, channels: int, lanes: int) -> Floats:
    """What `pack_paired` packed: [blocks * lanes, virtual channels]."""
    rows = packed.reshape(-1, HEADER + channels, lanes).transpose(0, 2, 1).reshape(-1, HEADER + channels)
    weights: Floats = rows[:, HEADER:] * rows[:, 1:2]
    grouped = channels - channels % GROUP
    weights[:, NEGATED:grouped:GROUP] *= -1
    return weights
