"""What pooling by maximum and by average differ in."""

from __future__ import annotations

import math
from typing import Any

from tvm import tirx

Expr = Any


def identity(kind: str) -> Expr:
    """What a reduction of `kind` (max or avg) starts from."""
    return tirx.FloatImm("float32", -math.inf if kind == "max" else 0.0)


def combine(kind: str, accumulator: Expr, value: Expr) -> Expr:
    """One step of it; an average's divisor is in the weights or applied at the end."""
    return tirx.max(accumulator, value) if kind == "max" else accumulator + value
