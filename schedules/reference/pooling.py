"""Maxima and weighted sums over windows, maxima and averages over planes."""

from __future__ import annotations

import numpy as np

from schedules.reference.operands import Array, Operands
from schedules.workload import GlobalPool, WindowPool, WindowSum


def window_pool(w: WindowPool, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    row = operands.table("row").reshape(w.rows, w.row_taps)
    column = operands.table("col").reshape(w.columns, w.column_taps)
    plane = (operands.table("xo")[:, None] + operands.table("xn")).reshape(w.blocks, w.batch, 1, 1, 1)
    out = np.full((w.blocks, w.batch, w.rows, w.columns, w.lanes), -np.inf)
    for i in range(w.row_taps):
        for j in range(w.column_taps):
            pixel = row[:, i][:, None, None] + column[:, j][:, None] + np.arange(w.lanes)
            out = np.maximum(out, operands.read("x", plane + pixel))
    return out.reshape(w.blocks, -1, w.lanes)


def window_sum(w: WindowSum, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue. All columns of the rows are read, as by the kernel."""
    row = operands.table("row").reshape(w.rows, w.row_taps)
    column = operands.table("col").reshape(w.columns, w.column_taps)
    row_weight = operands.constant("row_weight").reshape(row.shape)
    column_weight = operands.constant("col_weight").reshape(column.shape)
    plane = (operands.table("xo")[:, None] + operands.table("xn")).reshape(w.blocks, w.batch, 1, 1, 1)
    across = np.arange(w.read_columns)[:, None] * w.column_step + np.arange(w.lanes)
    sums = np.zeros((w.blocks, w.batch, w.rows, w.read_columns, w.lanes))
    for i in range(w.row_taps):
        x = operands.read("x", plane + row[:, i][:, None, None] + across)
        sums += x * row_weight[:, i][:, None, None]
    out = np.zeros((w.blocks, w.batch, w.rows, w.columns, w.lanes))
    for j in range(w.column_taps):
        out += sums[:, :, :, column[:, j]] * column_weight[:, j][:, None]
    return out.reshape(w.blocks, -1, w.lanes)


def global_pool(w: GlobalPool, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    plane = operands.table("xo")[:, None, None] + operands.table("xn")[:, None] + operands.table("xp")
    x = operands.read("x", plane[..., None] + np.arange(w.lanes))
    return np.asarray(x.max(axis=2) if w.kind == "max" else x.mean(axis=2))
