"""Random arguments of kernels, with scattered addresses, and what the reference functions make of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules import reference
from schedules.epilogue import TENSOR, VECTOR
from schedules.workload import Epilogue, Workload

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


def apply_epilogue(epilogue: Epilogue, x: Array, arguments: Mapping[str, Array]) -> Array:
    """`x` [blocks, pixels, lanes] after all steps."""
    return reference.apply_epilogue(epilogue, x, reference.Given(arguments))


def store(value: Array, arguments: Mapping[str, Array]) -> Array:
    """The output buffer after [blocks, pixels, lanes] went to its places."""
    y = arguments["y"].copy()
    y[reference.target_index(value.shape[2], reference.Given(arguments))] = value
    return y


def expected(workload: Workload, arguments: Mapping[str, Array], weights: Array | None = None) -> Array:
    """The output buffer after the workload; `weights` as `schedules.pack_weights` takes them."""
    stores = reference.evaluate(workload, reference.Given(arguments, weights))
    y = arguments["y"].copy()
    with np.errstate(over="ignore"):
        y[stores.index] = stores.values
    return y
