"""The steps between a result and its store."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np

from schedules.reference.operands import Array, Operands
from schedules.workload import Epilogue, EpilogueOp, TensorKind, VectorKind

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """The error function, in float64."""
    return np.asarray(_erf(x), np.float64)


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


_UNARY: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "clip": lambda x, low, high: np.clip(x, low, high),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, x * slope),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: np.tanh(x),
    "hard_sigmoid": lambda x, alpha, beta: np.clip(x * alpha + beta, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": _gelu_tanh,
    "exp": lambda x: np.exp(x),
    "sqrt": lambda x: np.sqrt(x),
    "abs": lambda x: np.abs(x),
    "negative": lambda x: -x,
    "erf": erf,
    "add_scalar": lambda x, value: x + value,
    "multiply_scalar": lambda x, value: x * value,
    "power_scalar": lambda x, value: x**value,
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "add_vector": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "multiply_vector": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "prelu": lambda x, slope: np.where(x > 0, x, x * slope),
}


def apply_epilogue(epilogue: Epilogue, x: Array, operands: Operands) -> Array:
    """`x` [blocks, pixels, lanes] after all steps."""
    blocks, _, lanes = x.shape
    for number, op in enumerate(epilogue):
        if op.kind in get_args(VectorKind):
            x = _BINARY[op.kind](x, operands.constant(f"e{number}").reshape(blocks, 1, lanes))
        elif op.kind in get_args(TensorKind):
            second = operands.read(f"e{number}", _operand_index(op, number, blocks, lanes, operands))
            x = _BINARY[op.kind](second, x) if op.swapped else _BINARY[op.kind](x, second)
        else:
            x = _UNARY[op.kind](x, *op.constants)
    return x


def _operand_index(op: EpilogueOp, number: int, blocks: int, lanes: int, operands: Operands) -> Array:
    """Where the second tensor of step `number` is read, [blocks, pixels, lanes]."""
    name = f"e{number}"
    pixel = operands.table(f"{name}_rp")[:, None]
    if op.access == "lane":
        return np.asarray(operands.table(f"{name}_rl").reshape(blocks, 1, lanes) + pixel)
    return np.asarray(operands.table(f"{name}_rb")[:, None, None] + pixel + np.arange(lanes))
