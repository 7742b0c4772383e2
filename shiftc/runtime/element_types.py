"""Arrays as the tensors programs take, also of the types that numpy has only with ml_dtypes: bfloat16, and
those of fewer bits, of which programs take codes of a byte."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

_BFLOAT16 = "bfloat16"
_NUMPY = frozenset(
    {
        *("bool", "float16", "float32", "float64"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    }
)
"""Types that numpy has itself."""
_DLPACK_BFLOAT_CODE = 4
_DTYPE_OFFSET = 20
"""Bytes in a DLTensor before its dtype: a pointer, a device of two int32, the number of dimensions."""


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of a manifest's element type."""
    if name in _NUMPY:
        return np.dtype(name)
    import ml_dtypes  # few programs need it

    dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return dtype


def as_bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`array` as files hold it: of a type that numpy lacks, the bits of every number as unsigned integers."""
    return array if array.dtype.name in _NUMPY else array.view(f"uint{8 * array.dtype.itemsize}")


def from_bits(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """What `as_bits` was given, of this type; any other array as it is."""
    has_bits = dtype.name not in _NUMPY and array.dtype == np.dtype(f"uint{8 * dtype.itemsize}")
    return array.view(dtype) if has_bits else array


def tensor_of(array: npt.NDArray[Any]) -> Any:
    """`array` as a tensor that shares its memory."""
    name = array.dtype.name  # asked for once: numpy makes it up every time
    if name in _NUMPY:
        return tvm_ffi.from_dlpack(array)
    return tvm_ffi.from_dlpack(_AsBfloat16(array) if name == _BFLOAT16 else as_bits(array))


class _AsBfloat16:
    """numpy exports no bfloat16: it is exported as uint16, and the capsule's dtype is written over."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = as_bits(array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **_: object) -> Any:
        capsule = self._array.__dlpack__()
        get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
        get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        address = get_pointer(capsule, b"dltensor")
        ctypes.c_uint8.from_address(address + _DTYPE_OFFSET).value = _DLPACK_BFLOAT_CODE
        return capsule
