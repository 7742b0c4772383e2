"""Arrays that start where vector loads want them to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64
"""Bytes; what TVM's code generator assumes of every tensor it is given."""


def aligned_empty(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An uninitialized C-contiguous array whose first byte is at a multiple of 64.

    `Session.run` reads inputs made by this function in place; others it copies first.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    array: npt.NDArray[Any] = np.ndarray(shape, dtype, buffer, start, _compact(shape, dtype.itemsize))
    return array


def _compact(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Strides as programs check them; numpy's are others where there are no elements."""
    return tuple(math.prod(shape[axis + 1 :]) * itemsize for axis in range(len(shape)))


def aligned_zeros(size: int) -> npt.NDArray[np.uint8]:
    """`size` zero bytes, the first at a multiple of 64."""
    array: npt.NDArray[np.uint8] = aligned_empty((size,), np.uint8)
    array.fill(0)
    return array


def is_aligned(array: npt.NDArray[Any]) -> bool:
    """Whether a kernel may read `array` in place."""
    return array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % ALIGNMENT == 0
