"""Winograd's minimal filtering: transforms of patches and products, and all of it for groups."""

from __future__ import annotations

import numpy as np

from schedules.reference.operands import Array, Operands
from schedules.winograd import BY_OUTPUTS
from schedules.workload import GroupedWinograd, WinogradInput, WinogradOutput


def winograd_input(w: WinogradInput, operands: Operands) -> Array:
    """[(m + 2)², blocks, tiles, lanes]."""
    patches = _patches(w, operands.table("xo"), operands)
    return np.asarray(patches.transpose(3, 0, 1, 2))


def winograd_output(w: WinogradOutput, operands: Operands) -> Array:
    """[blocks, tiles * m², lanes] before the epilogue."""
    shape = ((w.outputs + 2) ** 2, w.blocks, w.tiles, w.lanes)
    products = operands.read("x", np.arange(np.prod(shape)).reshape(shape))
    return _back(products.transpose(1, 2, 3, 0), w.outputs)


def grouped_winograd(w: GroupedWinograd, operands: Operands) -> Array:
    """[blocks, tiles * m², lanes] before the epilogue."""
    patches = _patches(w, operands.table("xo"), operands)
    # [clusters, lanes of what one reads, tiles, points]
    patches = patches.reshape(w.clusters, w.reads, w.tiles, w.lanes, w.points).transpose(0, 1, 3, 2, 4)
    patches = patches.reshape(w.clusters, w.reads * w.lanes, w.tiles, w.points)
    channels = operands.table("ct").reshape(w.clusters, w.vectors, w.virtual_channels)
    # pack_weights takes the filters of one point after the other
    k = operands.weights().reshape(w.points, w.clusters, w.vectors, w.width, w.virtual_channels)
    products = np.empty((w.clusters, w.vectors, w.width, w.tiles, w.points))
    for cluster in range(w.clusters):
        for vector in range(w.vectors):
            read = patches[cluster, channels[cluster, vector]]  # [channels, tiles, points]
            products[cluster, vector] = np.einsum("puc,ctp->utp", k[:, cluster, vector], read)
    by_block = products.reshape(w.blocks, w.lanes, w.tiles, w.points)
    return _back(by_block.transpose(0, 2, 1, 3), w.outputs)


def _patches(w: WinogradInput | GroupedWinograd, blocks: Array, operands: Operands) -> Array:
    """Transformed patches of every block and tile: [blocks, tiles, lanes, points]."""
    form = BY_OUTPUTS[w.outputs]
    size = np.arange(form.size)
    within = size[:, None] * w.row_stride + size * w.column_stride
    lanes = np.arange(w.lanes)[:, None, None]
    tiles = operands.table("xp")[:, None, None, None]
    x = operands.read("x", blocks[:, None, None, None, None] + tiles + lanes + within)
    matrix = np.array(form.patch)
    return np.asarray((matrix @ x @ matrix.T).reshape(*x.shape[:3], -1))


def _back(products: Array, outputs: int) -> Array:
    """Products [blocks, tiles, lanes, points] to outputs [blocks, tiles * m², lanes]."""
    form = BY_OUTPUTS[outputs]
    blocks, tiles, lanes, _ = products.shape
    matrix = np.array(form.product)
    y = matrix @ products.reshape(blocks, tiles, lanes, form.size, form.size) @ matrix.T
    return np.asarray(y.reshape(blocks, tiles, lanes, -1).transpose(0, 1, 3, 2)).reshape(blocks, -1, lanes)
