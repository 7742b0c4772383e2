"""Statistics over the channels of a pixel, or over the plane and a group of channels.

Lanes that hold no channel are left out of them, whatever they hold.
"""

from __future__ import annotations

import numpy as np

from schedules.reference.operands import Array, Operands
from schedules.workload import GroupNorm, LayerNorm, Softmax


def layer_norm(w: LayerNorm, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    x, channels = _over_channels(w, operands)
    mean, variance = channels.mean(axis=1), channels.var(axis=1)
    return np.asarray((x - mean[:, None]) / np.sqrt(variance + w.epsilon)[:, None])


def softmax(w: Softmax, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    x, channels = _over_channels(w, operands)
    largest = channels.max(axis=1)
    total = np.exp(channels - largest[:, None]).sum(axis=1)
    return np.asarray(np.exp(x - largest[:, None]) / total[:, None])


def _over_channels(w: LayerNorm | Softmax, operands: Operands) -> tuple[Array, Array]:
    """The operand [blocks, pixels, lanes], and its channels [pixels, channels]."""
    plane = operands.table("xo")[:, None, None] + operands.table("xp")[:, None]
    x = operands.read("x", plane + np.arange(w.lanes))
    used = operands.constant("used").reshape(w.blocks, w.lanes) != 0
    channels = x.transpose(1, 0, 2)[:, used]
    assert channels.shape[1] == w.channels, "as many lanes are marked as there are channels"
    return x, channels


def group_norm(w: GroupNorm, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    plane = operands.table("xo")[:, None, None] + operands.table("xn")[:, None] + operands.table("xp")
    x = operands.read("x", plane[..., None] + np.arange(w.lanes))
    member = operands.table("member").reshape(w.groups, w.channels)
    out = np.full(x.shape, np.nan)
    for lanes in member:
        at = (lanes // w.lanes, slice(None), slice(None), lanes % w.lanes)
        group = x[at]  # [channels, batch, pixels]
        mean = group.mean(axis=(0, 2), keepdims=True)
        out[at] = (group - mean) / np.sqrt(group.var(axis=(0, 2), keepdims=True) + w.epsilon)
    return out.reshape(w.blocks, -1, w.lanes)
