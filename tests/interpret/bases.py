"""Small programs without a fault, of every kind of step, for tests to plant faults in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
import numpy as np
from tvm.ir import IRModule
from tvm.relax import op

from tests.interpret.programs import BANDS, CHAINS, Array, planned
from tests.passes.modules import const, conv, module, moved, random_weight, tensors, through
from tvm_passes.interpret import run_program
from tvm_passes.lowered import Lowered
from tvm_passes.tiling import NO_TILING, Tiling

RANDOM = np.random.default_rng(0)
SHAPES = ((12, 12, 1, 1), (12, 12, 3, 3), (20, 12, 3, 3), (32, 32, 3, 3))
WEIGHTS = [random_weight(RANDOM, *shape) for shape in SHAPES]
SHAPE = (1, 12, 9, 8)
OFFSETS = [((c % 3) - 1, (c // 3 % 3) - 1) for c in range(12)]


def _residual(emit, x):
    """Tensors of several extents in one memory, a residual, halos, and a stride."""
    y = emit(op.nn.relu(emit(conv(x, WEIGHTS[0]))))
    z = emit(op.add(emit(conv(y, WEIGHTS[1], 1)), y))
    pooled = emit(op.nn.max_pool2d(z, (3, 3), (2, 2), (1, 1)))
    wide = emit(op.nn.relu(emit(conv(pooled, WEIGHTS[2], 1))))
    gate = emit(op.sigmoid(emit(op.mean(z, [2, 3], keepdims=True))))
    again = emit(conv(emit(op.multiply(z, gate)), WEIGHTS[1], 1, 2))
    return wide, again


def _wrapped(emit, x):
    y = emit(conv(x, WEIGHTS[0]))
    return emit(conv(emit(through(moved(OFFSETS, SHAPE, "wrap"), y)), WEIGHTS[0]))


def _deep(emit, x):
    """Three convolutions that need each other's rows."""
    y = emit(op.nn.relu(emit(conv(x, WEIGHTS[0]))))
    z = emit(op.nn.relu(emit(conv(y, WEIGHTS[1], 1))))
    return emit(op.add(emit(conv(emit(through(moved(OFFSETS, SHAPE), z)), WEIGHTS[0])), y))


def _filtered(emit, x):
    """A convolution in Winograd's form."""
    return emit(op.nn.relu(emit(conv(emit(op.nn.relu(x)), WEIGHTS[3], 1))))


def _twice(emit, x):
    """A residual that is read again."""
    y = emit(op.nn.relu(emit(conv(x, WEIGHTS[0]))))
    z = emit(op.add(emit(conv(emit(conv(y, WEIGHTS[0])), WEIGHTS[0])), y))
    return emit(op.add(emit(conv(z, WEIGHTS[0])), y))


def _image(emit, x):
    return emit(conv(x, random_weight(np.random.default_rng(1), 16, 3, 3, 3), 1, 2))


def _padded(emit, x):
    """Channels that read zeros."""
    y = emit(conv(x, WEIGHTS[0]))
    return emit(op.sigmoid(emit(op.nn.pad(y, [0, 0, 4, 5, 0, 0, 0, 0]))))


def _generic(emit, x):
    """An operator without a template between two that have one."""
    y = emit(op.argmax(emit(conv(x, WEIGHTS[0])), 1, keepdims=True))
    return emit(op.multiply(emit(op.astype(y, "float32")), const(2.0)))


@attrs.frozen(eq=False)
class Base:
    """A program without a fault."""

    body: Callable[..., Any]
    shape: tuple[int, ...] = SHAPE
    threads: int = 1
    tiling: Tiling = NO_TILING

    @property
    def module(self) -> IRModule:
        return module([self.shape], self.body)

    def plan(self) -> Lowered:
        """The program, planned anew."""
        return planned(self.module, "avx2", self.threads, tiling=self.tiling)


RESIDUAL = Base(_residual)
WRAPPED = Base(_wrapped)
CHAIN = Base(_deep, tiling=CHAINS)
IN_BANDS = Base(_deep, threads=2, tiling=BANDS)
SHARED = Base(_deep, threads=2, tiling=CHAINS)
WINOGRAD = Base(_filtered, (1, 32, 24, 24))
WINOGRAD_OF_TWO = Base(_filtered, (1, 32, 24, 24), threads=2)
TWICE = Base(_twice)
IMAGE = Base(_image, (1, 3, 40, 40))
PADDED = Base(_padded)
GENERIC = Base(_generic)


@cache
def right(base: Base) -> tuple[Lowered, list[Array], list[Array]]:
    """The program, inputs, and what it makes of them."""
    lowered, inputs = base.plan(), tensors(base.module)
    return lowered, inputs, run_program(lowered, inputs)
