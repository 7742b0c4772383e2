"""The steps between an accumulator and its store, shared by all templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from tvm import tirx

from schedules.activation import UNARY, bound, constant, unary
from schedules.emit import UNBOUNDED, Buffers, address
from schedules.workload import Epilogue, EpilogueOp

Expr = Any

VECTOR: dict[str, Callable[[Expr, Expr], Expr]] = {
    "add_vector": lambda x, c: x + c,
    "multiply_vector": lambda x, c: x * c,
    "prelu": lambda x, slope: bound(x, lambda x: tirx.Select(x > constant(0.0), x, x * slope)),
}
TENSOR: dict[str, Callable[[Expr, Expr], Expr]] = {
    "add": lambda x, r: x + r,
    "subtract": lambda x, r: x - r,
    "multiply": lambda x, r: x * r,
    "divide": lambda x, r: x / r,
    "maximum": lambda x, r: _passing_nan(tirx.max, x, r),
    "minimum": lambda x, r: _passing_nan(tirx.min, x, r),
}


def _passing_nan(extreme: Callable[[Expr, Expr], Expr], x: Expr, r: Expr) -> Expr:
    """The greater or the smaller number, NaN if one is: of a number and NaN, `extreme` takes the second."""
    return bound(r, lambda r: tirx.Select(tirx.isnan(r), r, extreme(r, x)))


@attrs.frozen
class Position:
    """Which output element: block and pixel (indices into the tables) and lane."""

    block: Expr
    pixel: Expr
    lane: Expr
    lanes: int


def refusal(epilogue: Epilogue) -> str | None:
    """Why the epilogue cannot be generated; None if it can."""
    for op in epilogue:
        if op.kind not in UNARY and op.kind not in VECTOR and op.kind not in TENSOR:
            return f"epilogue step '{op.kind}' is not known"
        if (op.kind in TENSOR) != (op.access is not None):
            return f"epilogue step '{op.kind}' and access '{op.access}' do not go together"
    return None


def parameters(epilogue: Epilogue, blocks: int, lanes: int, pixels: int) -> dict[str, tuple[str, int]]:
    """Kernel parameters of the epilogue: name → (dtype, extent), see `template.Kernel`."""
    result: dict[str, tuple[str, int]] = {}
    for i, op in enumerate(epilogue):
        if op.kind in VECTOR:
            result[f"e{i}"] = ("float32", blocks * lanes)
        elif op.kind in TENSOR:
            result[f"e{i}"] = ("float32", UNBOUNDED)
            if op.access == "lane":
                result[f"e{i}_rl"] = ("int32", blocks * lanes)
            else:
                result[f"e{i}_rb"] = ("int32", blocks)
            result[f"e{i}_rp"] = ("int32", pixels)
    return result


def _operand(op: EpilogueOp, index: int, buffers: Buffers, at: Position) -> Expr:
    tensor = buffers[f"e{index}"]
    pixel = buffers[f"e{index}_rp"][at.pixel]
    if op.access == "lane":
        return tensor[address(buffers[f"e{index}_rl"][at.block * at.lanes + at.lane], pixel)]
    return tensor[address(buffers[f"e{index}_rb"][at.block], pixel, at.lane)]


def starts_with_bias(epilogue: Epilogue) -> bool:
    """Whether the first step can be the accumulator's initial value instead."""
    return bool(epilogue) and epilogue[0].kind == "add_vector"


def initial_value(epilogue: Epilogue, buffers: Buffers, block: Expr, lane: Expr, lanes: int) -> Expr:
    """What a sum starts from: the bias if that is the first step (see `finish_sum`), else zero."""
    return buffers["e0"][block * lanes + lane] if starts_with_bias(epilogue) else constant(0.0)


def finish_sum(epilogue: Epilogue, value: Expr, buffers: Buffers, at: Position) -> Expr:
    """`value` after the steps that its `initial_value` left to do."""
    return _apply_from(int(starts_with_bias(epilogue)), epilogue, value, buffers, at)


def apply(epilogue: Epilogue, value: Expr, buffers: Buffers, at: Position) -> Expr:
    """`value` after all steps, for the output element `at`."""
    return _apply_from(0, epilogue, value, buffers, at)


def _apply_from(first: int, epilogue: Epilogue, value: Expr, buffers: Buffers, at: Position) -> Expr:
    for i, op in list(enumerate(epilogue))[first:]:
        if op.kind in UNARY:
            value = unary(op.kind, value, op.constants)
        elif op.kind in VECTOR:
            value = VECTOR[op.kind](value, buffers[f"e{i}"][at.block * at.lanes + at.lane])
        else:
            operand = _operand(op, i, buffers, at)
            value = TENSOR[op.kind](operand, value) if op.swapped else TENSOR[op.kind](value, operand)
    return value
