"""In which order a convolution's products are summed. Pure Python and numpy; no TVM."""

from __future__ import annotations

import numpy as np

from .array import Array


def virtual_order(channels: int, taps: int, lanes: int) -> tuple[Array, Array]:
    """The order of the reduction: a block's channels for one tap, then its next tap, then the next block.

    A block is `lanes` channels, which share a cache line per pixel in blocked layout; the last block may be
    narrower. Returns (channel, tap) of every virtual channel.
    """
    channel = np.arange(channels)[:, None] + np.zeros(taps, np.int64)[None, :]
    tap = np.zeros(channels, np.int64)[:, None] + np.arange(taps)[None, :]
    order = np.lexsort((channel.reshape(-1), tap.reshape(-1), channel.reshape(-1) // lanes))
    return channel.reshape(-1)[order], tap.reshape(-1)[order]
