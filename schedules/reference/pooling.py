"""Maxima and averages over windows and planes."""

from __future__ import annotations

import numpy as np

from schedules.reference.operands import Array, Operands
from schedules.workload import GlobalPool, WindowPool


def window_pool(w: WindowPool, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    row = operands.table("row").reshape(w.rows, w.row_taps)
    column = operands.table("col").reshape(w.columns, w.column_taps)
    plane = (operands.table("xo")[:, None] + operands.table("xn")).reshape(w.blocks, w.batch, 1, 1, 1)
    average = w.kind == "avg"
    if average:
        row_weight = operands.constant("row_weight").reshape(row.shape)
        column_weight = operands.constant("col_weight").reshape(column.shape)
    shape = (w.blocks, w.batch, w.rows, w.columns, w.lanes)
    out = np.zeros(shape) if average else np.full(shape, -np.inf)
    for i in range(w.row_taps):
        for j in range(w.column_taps):
            pixel = row[:, i][:, None, None] + column[:, j][:, None] + np.arange(w.lanes)
            x = operands.read("x", plane + pixel)
            if average:
                out += x * (row_weight[:, i][:, None, None] * column_weight[:, j][:, None])
            else:
                out = np.maximum(out, x)
    return out.reshape(w.blocks, -1, w.lanes)


def global_pool(w: GlobalPool, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    plane = operands.table("xo")[:, None, None] + operands.table("xn")[:, None] + operands.table("xp")
    x = operands.read("x", plane[..., None] + np.arange(w.lanes))
    return np.asarray(x.max(axis=2) if w.kind == "max" else x.mean(axis=2))
