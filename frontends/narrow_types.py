"""Element types of fewer than 8 bits, and floats of 8: programs hold them as codes, a byte for each number.

Codes are those of ml_dtypes: the bits of the type, zeros above. An int4 of -1 is 15.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import attrs
import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

Array = NDArray[Any]

CODE = "uint8"
"""The type that holds codes."""


@attrs.frozen(slots=False)
class NarrowType:
    """kind: ONNX's number of the type. name: numpy's."""

    kind: int
    name: str

    @property
    def numpy(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, self.name))
        return dtype

    @property
    def bits(self) -> int:
        """Of a code."""
        return int((ml_dtypes.finfo if self.is_float else ml_dtypes.iinfo)(self.numpy).bits)

    @property
    def is_float(self) -> bool:
        return self.name.startswith("float")

    @property
    def is_exponent(self) -> bool:
        """Powers of two, and nothing else."""
        return self.kind == int(TensorProto.FLOAT8E8M0)

    @property
    def numbers(self) -> str:
        """The type that holds every number of this type, as numpy names it."""
        return "float32" if self.is_float else self.name.rstrip("24") + "8"

    @functools.cached_property
    def values(self) -> Array:
        """The number of every code, in the type that holds numbers."""
        codes = np.arange(1 << self.bits, dtype=CODE)
        return codes.view(self.numpy).astype(self.numbers)

    def code(self, number: float) -> int:
        """The code of one number, which is rounded."""
        return int(np.array(number, np.float32).astype(self.numpy).view(CODE))


NARROW: Mapping[int, NarrowType] = {
    int(kind): NarrowType(int(kind), str(helper.tensor_dtype_to_np_dtype(kind).name))
    for kind in (
        *(TensorProto.INT2, TensorProto.UINT2, TensorProto.INT4, TensorProto.UINT4),
        *(TensorProto.FLOAT4E2M1, TensorProto.FLOAT6E2M3, TensorProto.FLOAT6E3M2),
        *(TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ),
        *(TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ, TensorProto.FLOAT8E8M0),
    )
}
"""By ONNX's number of the type."""


def codes_of(numbers: Array) -> Array:
    """An array of a narrow type as its codes."""
    return np.ascontiguousarray(numbers).view(CODE).reshape(numbers.shape)
