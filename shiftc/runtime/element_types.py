"""Arrays as the tensors programs take, also of bfloat16, which numpy has only with ml_dtypes."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm_ffi

_BFLOAT16 = "bfloat16"
_DLPACK_BFLOAT_CODE = 4
_DTYPE_OFFSET = 20
"""Bytes in a DLTensor before its dtype: a pointer, a device of two int32, the number of dimensions."""


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of a manifest's element type."""
    if name == _BFLOAT16:
        import ml_dtypes  # registers the type; few programs need it

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)


def tensor_of(array: npt.NDArray[Any]) -> Any:
    """`array` as a tensor that shares its memory."""
    return tvm_ffi.from_dlpack(_AsBfloat16(array) if array.dtype.name == _BFLOAT16 else array)


class _AsBfloat16:
    """numpy exports no bfloat16: it is exported as uint16, and the capsule's dtype is written over."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array.view(np.uint16)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **_: object) -> Any:
        capsule = self._array.__dlpack__()
        get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
        get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        address = get_pointer(capsule, b"dltensor")
        ctypes.c_uint8.from_address(address + _DTYPE_OFFSET).value = _DLPACK_BFLOAT_CODE
        return capsule
