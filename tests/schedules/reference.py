"""What the workloads mean, in numpy and float64, with scattered addresses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.epilogue import TENSOR, VECTOR
from schedules.workload import (
    Depthwise,
    Elementwise,
    Epilogue,
    EpilogueOp,
    GlobalPool,
    IndexedConv,
    WindowPool,
    WindowSum,
)

Array = NDArray[Any]

INPUT_SIZE = 4096
"""Elements of `x` and of every tensor operand."""


def table(rng: np.random.Generator, *shape: int, limit: int = 900) -> Array:
    """Random offsets, flat; a few of them added together stay inside INPUT_SIZE."""
    return rng.integers(0, limit, shape).astype(np.int32).ravel()


def scattered_output(rng: np.random.Generator, blocks: int, pixels: int, lanes: int) -> dict[str, Array]:
    """Tables that spread the outputs over a larger buffer in random order, and that buffer full of NaN."""
    gap = 3
    yo = rng.permutation(blocks) * (pixels * lanes + gap)
    yp = rng.permutation(pixels) * lanes
    size = blocks * (pixels * lanes + gap)
    return {
        "yo": yo.astype(np.int32),
        "yp": yp.astype(np.int32),
        "y": np.full(size, np.nan, np.float32),
    }


def epilogue_arguments(
    rng: np.random.Generator, epilogue: Epilogue, blocks: int, lanes: int, pixels: int
) -> dict[str, Array]:
    """Operands and tables of every step; operands are kept away from zero, for divisions."""
    arguments: dict[str, Array] = {}
    for i, op in enumerate(epilogue):
        size = blocks * lanes if op.kind in VECTOR else INPUT_SIZE
        if op.kind in VECTOR or op.kind in TENSOR:
            arguments[f"e{i}"] = rng.uniform(0.5, 2.0, size).astype(np.float32)
        if op.kind in TENSOR:
            per_block = f"e{i}_rl" if op.access == "lane" else f"e{i}_rb"
            arguments[per_block] = table(rng, blocks * (lanes if op.access == "lane" else 1))
            arguments[f"e{i}_rp"] = table(rng, pixels)
    return arguments


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf)(x)


def _unary(op: EpilogueOp, x: Array) -> Array:
    constants = op.constants
    functions: dict[str, Any] = {
        "relu": lambda: np.maximum(x, 0),
        "clip": lambda: np.clip(x, *constants),
        "leaky_relu": lambda: np.where(x > 0, x, x * constants[0]),
        "sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "tanh": lambda: np.tanh(x),
        "hard_sigmoid": lambda: np.clip(x * constants[0] + constants[1], 0, 1),
        "hard_swish": lambda: x * np.clip(x / 6 + 0.5, 0, 1),
        "silu": lambda: x / (1 + np.exp(-x)),
        "gelu": lambda: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
        "gelu_tanh": lambda: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        "exp": lambda: np.exp(x),
        "sqrt": lambda: np.sqrt(x),
        "abs": lambda: np.abs(x),
        "negative": lambda: -x,
        "erf": lambda: _erf(x),
        "add_scalar": lambda: x + constants[0],
        "multiply_scalar": lambda: x * constants[0],
        "power_scalar": lambda: x ** constants[0],
    }
    return np.asarray(functions[op.kind]())


def _binary(op: EpilogueOp, x: Array, r: Array) -> Array:
    left, right = (r, x) if op.swapped else (x, r)
    functions: dict[str, Any] = {
        "add": np.add,
        "add_vector": np.add,
        "subtract": np.subtract,
        "multiply": np.multiply,
        "multiply_vector": np.multiply,
        "divide": np.divide,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "prelu": lambda value, slope: np.where(value > 0, value, value * slope),
    }
    return np.asarray(functions[op.kind](left, right))


def apply_epilogue(epilogue: Epilogue, x: Array, arguments: Mapping[str, Array]) -> Array:
    """`x` [blocks, pixels, lanes] after all steps."""
    blocks, _, lanes = x.shape
    for i, op in enumerate(epilogue):
        if op.kind in VECTOR:
            x = _binary(op, x, arguments[f"e{i}"].reshape(blocks, 1, lanes))
        elif op.kind in TENSOR:
            pixel = arguments[f"e{i}_rp"][:, None]
            if op.access == "lane":
                index = arguments[f"e{i}_rl"].reshape(blocks, 1, lanes) + pixel
            else:
                index = arguments[f"e{i}_rb"][:, None, None] + pixel + np.arange(lanes)
            x = _binary(op, x, arguments[f"e{i}"][index].astype(np.float64))
        else:
            x = _unary(op, x)
    return x


def store(value: Array, arguments: Mapping[str, Array]) -> Array:
    """The output buffer after [blocks, pixels, lanes] went to its places."""
    y = arguments["y"].copy()
    lanes = value.shape[2]
    y[arguments["yo"][:, None, None] + arguments["yp"][:, None] + np.arange(lanes)] = value
    return y


def indexed_conv(w: IndexedConv, weights: Array, a: Mapping[str, Array]) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    x, k = a["x"].astype(np.float64), weights.astype(np.float64).reshape(w.blocks, w.lanes, -1)
    columns = x[a["ct"].reshape(w.tables, -1)[:, :, None] + a["pt"]]
    used = np.arange(w.blocks) * w.tables // w.blocks
    return np.einsum("ovc,ocp->opv", k, columns[used])


def depthwise(w: Depthwise, weights: Array, a: Mapping[str, Array]) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    x, k = a["x"].astype(np.float64), weights.astype(np.float64).reshape(w.blocks, w.lanes, -1)
    rows, columns = np.arange(w.rows) * w.row_step, np.arange(w.columns) * w.column_step
    pixels = (a["xn"][:, None, None] + rows[:, None] + columns).ravel()
    index = a["xo"][:, None, None, None] + pixels[:, None, None] + np.array(w.taps)[:, None]
    return np.einsum("ovt,optv->opv", k, x[index + np.arange(w.lanes)])


def window_pool(w: WindowPool, a: Mapping[str, Array]) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    row = a["row"].reshape(w.rows, 1, w.row_taps, 1, 1)
    column = a["col"].reshape(w.columns, 1, w.column_taps, 1)
    plane = a["xo"].reshape(-1, 1, 1, 1, 1, 1, 1) + a["xn"].reshape(-1, 1, 1, 1, 1, 1)
    x = a["x"].astype(np.float64)[plane + row + column + np.arange(w.lanes)]
    return x.max((4, 5)).reshape(w.blocks, -1, w.lanes)


def window_sum(w: WindowSum, a: Mapping[str, Array]) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    column = a["col"].reshape(w.columns, 1, w.column_taps, 1) * w.column_step
    row = a["row"].reshape(w.rows, 1, w.row_taps, 1, 1)
    plane = a["xo"].reshape(-1, 1, 1, 1, 1, 1, 1) + a["xn"].reshape(-1, 1, 1, 1, 1, 1)
    x = a["x"].astype(np.float64)[plane + row + column + np.arange(w.lanes)]
    weight = a["row_weight"].reshape(w.rows, 1, -1, 1, 1) * a["col_weight"].reshape(w.columns, 1, -1, 1)
    return (x * weight).sum((4, 5)).reshape(w.blocks, -1, w.lanes)


def global_pool(w: GlobalPool, a: Mapping[str, Array]) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    index = a["xo"][:, None, None, None] + a["xn"][:, None, None] + a["xp"][:, None] + np.arange(w.lanes)
    x = a["x"].astype(np.float64)[index]
    return np.asarray(x.max(2) if w.kind == "max" else x.mean(2))


def elementwise(w: Elementwise, a: Mapping[str, Array]) -> Array:
    """[blocks, pixels, lanes] before the epilogue."""
    if w.access == "lane":
        index = a["xl"].reshape(w.blocks, 1, w.lanes) + a["xp"][:, None]
    else:
        index = a["xb"][:, None, None] + a["xp"][:, None] + np.arange(w.lanes)
    return a["x"].astype(np.float64)[index]
