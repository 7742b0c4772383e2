"""Cast and CastLike between all types, and operators that only copy, of tensors of one byte and three."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from ml_dtypes import bfloat16
from onnx import helper

from .elementwise_cases import TYPES
from .joined import Array, Case

ALL = (*TYPES.values(), np.dtype(bfloat16))


def _numbers(random: np.random.Generator, source: np.dtype, target: np.dtype) -> Array:
    """Of both types, whole parts and signs as far as both have them."""
    signed = all(dtype.kind not in "bu" for dtype in (source, target))
    numbers = random.uniform(-100 if signed else 0, 100, 40)
    numbers[:3] = 0.0, 0.4, 1.0
    return numbers.astype(source)


def cast_cases() -> Iterator[Case]:
    """Fractions are cut off, and whatever is not zero is true."""
    random = np.random.default_rng(21)
    for source, target in itertools.product(ALL, ALL):
        x = _numbers(random, source, target)
        to = helper.np_dtype_to_tensor_dtype(target)
        wide = x if source != bfloat16 else x.astype("float32")
        expected = [wide.astype(target)]
        yield Case(f"Cast-{source}-{target}", "Cast", [x], {"to": to}, opset=21, expected=expected)
        if source.itemsize == target.itemsize:
            like = np.zeros((), target)
            yield Case(f"CastLike-{source}-{target}", "CastLike", [x, like], opset=21, expected=expected)


def special_cast_cases() -> Iterator[Case]:
    """NaN and infinities are true, and stay what they are in other floating-point types."""
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-30], "float32")
    for target in ("float16", "float64", "bool"):
        to = helper.np_dtype_to_tensor_dtype(np.dtype(target))
        yield Case(
            f"Cast-special-{target}",
            "Cast",
            [special],
            {"to": to},
            opset=21,
            expected=[special.astype(target)],
        )


def copy_cases() -> Iterator[Case]:
    """Tensors whose size in bytes is no multiple of a word's."""
    for dtype, count in itertools.product(("bool", "uint8", "int8", "float16"), (1, 3, 5)):
        x = (np.arange(count) % 2).astype(dtype)
        name = f"{dtype}-{count}"
        yield Case(f"Identity-{name}", "Identity", [x])
        yield Case(f"Concat-{name}", "Concat", [x, x[::-1].copy()], {"axis": 0})
        yield Case(f"Transpose-{name}", "Transpose", [x[None, :]], {"perm": [1, 0]})
        yield Case(f"Reshape-{name}", "Reshape", [x, np.array([1, count, 1])], constant=(1,))
        yield Case(f"Slice-{name}", "Slice", [x, np.array([0]), np.array([1])], constant=(1, 2))
        yield Case(f"Expand-{name}", "Expand", [x, np.array([3, count])], constant=(1,))
