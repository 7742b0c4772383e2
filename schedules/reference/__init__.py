"""What every workload means, in numpy and float64: one function each, through the tables that kernels get.

Kernels are tested against them, and programs are interpreted with them (`tvm_passes.interpret`). They
see memory through `Operands` only, so that whoever owns the memory can tell what is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from schedules.reference.convolution import depthwise, indexed_conv, paired_conv
from schedules.reference.epilogue import apply_epilogue, erf
from schedules.reference.normalization import group_norm, layer_norm, softmax
from schedules.reference.operands import Array, Given, Operands
from schedules.reference.pooling import global_pool, window_pool, window_sum
from schedules.reference.winograd import grouped_winograd, winograd_input, winograd_output
from schedules.workload import (
    Depthwise,
    Elementwise,
    GlobalPool,
    GroupedWinograd,
    GroupNorm,
    IndexedConv,
    LayerNorm,
    PairedConv,
    Softmax,
    WindowPool,
    WindowSum,
    WinogradInput,
    WinogradOutput,
    Workload,
)

__all__ = ["Given", "Operands", "Stores", "apply_epilogue", "copied", "erf", "evaluate", "target_index"]


@attrs.frozen(eq=False)
class Stores:
    """What is stored where: elements counted from the address of `y`, and their values in float64.

    An element that is there several times is stored in this order.
    """

    index: Array
    values: Array


def elementwise(w: Elementwise, operands: Operands) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    return operands.read("x", source_index(w, operands))


def source_index(w: Elementwise, operands: Operands) -> Array:
    """Where each element is read: [blocks, pixels, lanes]."""
    pixel = operands.table("xp")[:, None]
    if w.access == "lane":
        return np.asarray(operands.table("xl").reshape(w.blocks, 1, w.lanes) + pixel)
    return np.asarray(operands.table("xb")[:, None, None] + pixel + np.arange(w.lanes))


_BY_BLOCKS_AND_PIXELS: dict[type, Callable[[Any, Operands], Array]] = {
    IndexedConv: indexed_conv,
    PairedConv: paired_conv,
    Depthwise: depthwise,
    WindowPool: window_pool,
    WindowSum: window_sum,
    GlobalPool: global_pool,
    Elementwise: elementwise,
    LayerNorm: layer_norm,
    GroupNorm: group_norm,
    Softmax: softmax,
    WinogradOutput: winograd_output,
    GroupedWinograd: grouped_winograd,
}


def evaluate(workload: Workload, operands: Operands) -> Stores:
    """What the workload stores where. NaN is carried along: it is in all that is computed from it."""
    if isinstance(workload, WinogradInput):
        values = winograd_input(workload, operands)
        return Stores(np.arange(values.size).reshape(values.shape), values)
    with np.errstate(all="ignore"):
        values = _BY_BLOCKS_AND_PIXELS[type(workload)](workload, operands)
        values = apply_epilogue(workload.epilogue, values, operands)
    index = target_index(workload.lanes, operands)
    if isinstance(workload, WinogradOutput | GroupedWinograd):  # the pixels of a tile from the last on
        shape = (index.shape[0], workload.tiles, workload.outputs**2, workload.lanes)
        index, values = (a.reshape(shape)[:, :, ::-1] for a in (index, values))
    return Stores(index, values)


def copied(workload: Elementwise, operands: Operands) -> tuple[Array, Array]:
    """Of a workload without an epilogue: which element of `x` goes to which of `y`.

    Both are [blocks, pixels, lanes].
    """
    return source_index(workload, operands), target_index(workload.lanes, operands)


def target_index(lanes: int, operands: Operands) -> Array:
    """Where each element is stored: [blocks, pixels, lanes]."""
    blocks, pixels = operands.table("yo"), operands.table("yp")
    return np.asarray(blocks[:, None, None] + pixels[:, None] + np.arange(lanes))
