"""Sums over virtual channels: convolutions through tables of addresses."""

from __future__ import annotations

import numpy as np

from schedules.reference.operands import Array, Operands
from schedules.workload import Depthwise, IndexedConv, PairedConv

_AT_ONCE = 1 << 22
"""Elements of x that are gathered at a time."""


def indexed_conv(w: IndexedConv, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    channels = operands.table("ct").reshape(w.tables, -1)
    pixels = operands.table("pt")
    k = operands.weights().reshape(w.tables, -1, w.virtual_channels)  # [tables, blocks * lanes of one, C]
    out: Array = np.empty((w.tables, k.shape[1], w.pixels))
    step = max(1, _AT_ONCE // channels.size)
    for start in range(0, w.pixels, step):
        some = pixels[start : start + step]
        out[:, :, start : start + step] = k @ operands.read("x", channels[:, :, None] + some)
    return np.asarray(out.reshape(w.blocks, w.lanes, w.pixels).transpose(0, 2, 1))


def paired_conv(w: PairedConv, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue: how products are summed does not matter.

    The lines are read as well, where a channel lies in them.
    """
    lines = operands.table("line").reshape(w.lines, 2, 1, 1)
    signs = operands.constant("sign").reshape(w.lines, w.line_lanes)
    vectors = lines + operands.table("pt")[:, None] + np.arange(w.line_lanes)
    channels: Array = signs != 0
    used = np.broadcast_to(channels[:, None, None, :], vectors.shape)
    products = operands.read("x", np.where(used, vectors, vectors[used].min(initial=vectors.max())))
    lost = np.asarray(np.isnan(np.where(used, products, 0)).any(axis=(0, 1, 3)))
    k = operands.weights()
    x = operands.read("x", operands.table("ct")[:, None] + operands.table("pt"))
    out = (k @ x).reshape(w.blocks, w.lanes, w.pixels).transpose(0, 2, 1)
    return np.asarray(np.where(lost[:, None], np.nan, out))


def depthwise(w: Depthwise, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    k = operands.weights().reshape(w.blocks, w.lanes, len(w.taps))
    rows, columns = np.arange(w.rows) * w.row_step, np.arange(w.columns) * w.column_step
    pixels = (operands.table("xn")[:, None, None] + rows[:, None] + columns).reshape(-1)
    plane = operands.table("xo")[:, None, None] + pixels[:, None] + np.arange(w.lanes)
    out = np.zeros(plane.shape)
    for number, tap in enumerate(w.taps):
        out += operands.read("x", plane + tap) * k[:, None, :, number]
    return out
