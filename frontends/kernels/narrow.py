"""Numbers of narrow types from their codes, and codes from numbers: see `frontends.narrow_types`."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from tvm import te, tirx

from frontends.kernels.shapes import extents
from frontends.narrow_types import CODE, NarrowType

Expr = Any
Tensor = Any

_FRACTION, _BIAS, _INFINITY = 23, 127, 0x7F80_0000
"""Of float32: the bits of its fraction, what is added to its exponent, and infinity."""


def decode(codes: Tensor, values: Tensor) -> Tensor:
    """`values[code]` of every code, of a table that has as many elements as there are codes."""
    last = tirx.const(extents(values)[0] - 1, "int32")

    def element(*at: Expr) -> Expr:
        return values[codes(*at).astype("int32") & last]

    return te.compute(extents(codes), element, name="decode")


def encode(numbers: Tensor, narrow: NarrowType, saturate: bool) -> Tensor:
    """The code of the nearest number of a narrow float type, of two as near the one with an even code.

    numbers: float32. saturate: numbers beyond the largest become it, and not an infinity or, in types without
    one, NaN.
    """
    kind = ml_dtypes.finfo(narrow.numpy)
    fraction, lowest = int(kind.nmant), int(kind.minexp)
    dropped = _FRACTION - fraction
    largest, nan = narrow.code(float(kind.max)), narrow.code(np.nan)
    beyond = largest if saturate else narrow.code(np.inf)
    zero_has_sign = narrow.code(-0.0) != 0
    # The last bit of its sum with a number below counts steps of the subnormal numbers.
    magic = tirx.const(2.0 ** (lowest - fraction + _FRACTION), "float32")

    def element(*at: Expr) -> Expr:
        bits = tirx.reinterpret("uint32", numbers(*at))
        magnitude = bits & _bits(0x7FFF_FFFF)
        odd = (magnitude >> _bits(dropped)) & _bits(1)
        rounded = (magnitude + _bits((1 << (dropped - 1)) - 1) + odd) >> _bits(dropped)
        normal = rounded - _bits((_BIAS + lowest - 1) << fraction)
        sum_ = tirx.reinterpret("uint32", tirx.reinterpret("float32", magnitude) + magic)
        subnormal = sum_ - tirx.reinterpret("uint32", magic)
        is_normal = magnitude >= _bits((_BIAS + lowest) << _FRACTION)
        code = tirx.Select(is_normal, normal, subnormal)
        code = tirx.Select(is_normal & (code > _bits(largest)), _bits(beyond), code)
        signed = code | ((bits >> _bits(31)) << _bits(narrow.bits - 1))
        if not zero_has_sign:
            signed = tirx.Select((code == _bits(0)) | (code == _bits(nan)), code, signed)
        return tirx.Select(magnitude > _bits(_INFINITY), _bits(nan), signed).astype(CODE)

    return te.compute(extents(numbers), element, name="encode")


def encode_exponent(numbers: Tensor, round_mode: str, saturate: bool) -> Tensor:
    """The exponents of float32 numbers as codes of float8_e8m0fnu; signs are dropped, infinities are NaN.

    round_mode: what becomes of numbers between two powers of two: "up", "down" or "nearest".
    """
    top, half = _bits(0xFE), _bits(1 << (_FRACTION - 1))

    def element(*at: Expr) -> Expr:
        bits = tirx.reinterpret("uint32", numbers(*at))
        exponent = (bits >> _bits(_FRACTION)) & _bits(0xFF)
        if round_mode == "down":
            return exponent.astype(CODE)
        rest = bits & _bits((1 << _FRACTION) - 1)
        if round_mode == "nearest":
            is_up = (rest > half) | ((rest == half) & (exponent > _bits(0)))
        else:
            is_up = rest > _bits(0)
        is_up = is_up & (exponent < top if saturate else exponent <= top)
        return (exponent + tirx.Select(is_up, _bits(1), _bits(0))).astype(CODE)

    return te.compute(extents(numbers), element, name="encode_exponent")


def _bits(number: int) -> Expr:
    return tirx.const(number, "uint32")
