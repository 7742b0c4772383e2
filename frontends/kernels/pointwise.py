"""Element-wise functions of one or two tensors, which broadcast."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T

from frontends.kernels.shapes import extents, linear, local, sequential, unravel

Expr = Any
Tensor = Any


def _elementwise(name: str, function: Callable[..., Expr], *tensors: Tensor) -> Tensor:
    """`function` of the elements at each place of the common shape."""
    shapes = [extents(tensor) for tensor in tensors]
    shape = np.broadcast_shapes(*shapes)

    def element(*at: Expr) -> Expr:
        elements = []
        for tensor, own in zip(tensors, shapes, strict=True):
            places = at[len(at) - len(own) :]
            kept = (0 if size == 1 else place for place, size in zip(places, own, strict=True))
            elements.append(tensor(*kept))
        return function(*elements)

    return te.compute(shape, element, name=name)


def sign(data: Tensor) -> Tensor:
    """-1, 0 or 1; NaN stays NaN."""
    dtype = str(data.dtype)
    one, zero = tirx.const(1, dtype), tirx.const(0, dtype)

    def of(x: Expr) -> Expr:
        if dtype.startswith("uint"):
            return tirx.Select(x > zero, one, zero)
        return tirx.Select(x > zero, one, tirx.Select(x < zero, tirx.const(-1, dtype), x))

    return _elementwise("sign", of, data)


def shrink(data: Tensor, lambd: float, bias: float) -> Tensor:
    """x + bias below -lambd, x - bias above lambd, 0 between; integers are rounded toward zero."""
    dtype = str(data.dtype)
    wide = "float32" if dtype in ("float16", "bfloat16", "float32") else "float64"
    limit, shift = tirx.const(lambd, wide), tirx.const(bias, wide)

    def of(x: Expr) -> Expr:
        value = x.astype(wide)
        above = tirx.Select(value > limit, value - shift, tirx.const(0, wide))
        return tirx.Select(value < tirx.const(-lambd, wide), value + shift, above).astype(dtype)

    return _elementwise("shrink", of, data)


def shift(data: Tensor, distance: Tensor, left: bool) -> Tensor:
    """Bits moved; a distance that is negative or no less than the width leaves zeros (of negative numbers
    moved to the right: ones)."""
    dtype = str(data.dtype)
    bits = int(np.dtype(dtype).itemsize * 8)
    zero, last = tirx.const(0, dtype), tirx.const(bits - 1, dtype)

    def of(x: Expr, by: Expr) -> Expr:
        inside = by <= last if dtype.startswith("uint") else tirx.all(by >= zero, by <= last)
        within = tirx.Select(inside, by, zero)
        moved = tirx.shift_left(x, within) if left else tirx.shift_right(x, within)
        beyond = zero if left or dtype.startswith("uint") else tirx.shift_right(x, last)
        return tirx.Select(inside, moved, beyond)

    return _elementwise("shift", of, data, distance)


def remainder(data: Tensor, divisor: Tensor, truncated: bool) -> Tensor:
    """What is left of a division rounded toward zero, if `truncated`, else down: with the dividend's
    sign, or the divisor's. Division of integers by zero leaves zero."""
    dtype = str(data.dtype)
    zero = tirx.const(0, dtype)

    def of_integers(x: Expr, y: Expr) -> Expr:
        # -1 leaves nothing, and dividing the lowest number by it overflows.
        nothing = y == zero if dtype.startswith("uint") else tirx.any(y == zero, y == tirx.const(-1, dtype))
        left = tirx.truncmod(x, tirx.Select(nothing, tirx.const(1, dtype), y))
        if not truncated and not dtype.startswith("uint"):
            left = tirx.Select(tirx.any(left == zero, (left < zero) == (y < zero)), left, left + y)
        return tirx.Select(nothing, zero, left)

    def of_floats(x: Expr, y: Expr) -> Expr:
        wide = "float64" if dtype == "float64" else "float32"
        a, b = x.astype(wide), y.astype(wide)
        left = tirx.call_pure_extern(wide, "fmod" if wide == "float64" else "fmodf", a, b)
        if not truncated:
            none = tirx.const(0, wide)
            agrees = tirx.any(left == none, (left < none) == (b < none))
            left = tirx.Select(agrees, left, left + b)
        return left.astype(dtype)

    return _elementwise("remainder", of_floats if "float" in dtype else of_integers, data, divisor)


def quotient(data: Tensor, divisor: Tensor) -> Tensor:
    """Quotients of integers rounded toward zero; 0 where the divisor is, and the lowest over -1 is itself."""
    dtype = str(data.dtype)
    zero, one = tirx.const(0, dtype), tirx.const(1, dtype)

    def of(x: Expr, y: Expr) -> Expr:
        # The processor ends a process that divides by zero, or the lowest number by -1.
        if dtype.startswith("uint"):
            return tirx.Select(y == zero, zero, tirx.truncdiv(x, tirx.Select(y == zero, one, y)))
        negates = y == tirx.const(-1, dtype)
        divided = tirx.truncdiv(x, tirx.Select(tirx.any(y == zero, negates), one, y))
        return tirx.Select(y == zero, zero, tirx.Select(negates, zero - x, divided))

    return _elementwise("quotient", of, data, divisor)


def integer_power(base: Tensor, exponent: Tensor) -> Tensor:
    """Powers of integers, wrapped around; negative exponents leave 0, but for 1 and -1."""
    dtype, other = str(base.dtype), str(exponent.dtype)
    shape = tuple(np.broadcast_shapes(extents(base), extents(exponent)))
    one, zero = tirx.const(1, dtype), tirx.const(0, dtype)

    def place(number: Expr, own: tuple[int, ...]) -> Expr:
        """The number, in a tensor of shape `own`, of what is read for an element of the result."""
        at = unravel(number, shape)[len(shape) - len(own) :]
        return linear([0 if size == 1 else i for i, size in zip(at, own, strict=True)], own)

    def emit(bases: Any, exponents: Any, result: Any) -> None:
        product, square, rest = local((1,), dtype), local((1,), dtype), local((1,), other)
        with T.serial(0, math.prod(shape)) as number:
            product[0], square[0] = one, bases[place(number, extents(base))]
            rest[0] = exponents[place(number, extents(exponent))]
            with T.serial(0, np.dtype(other).itemsize * 8):
                taken = (rest[0] & tirx.const(1, other)) != tirx.const(0, other)
                product[0] = tirx.Select(taken, product[0] * square[0], product[0])
                square[0] = square[0] * square[0]
                rest[0] = tirx.shift_right(rest[0], tirx.const(1, other))
            result[number] = _or_inverse(
                product[0],
                bases[place(number, extents(base))],
                exponents[place(number, extents(exponent))],
            )

    def _or_inverse(power: Expr, x: Expr, exponent: Expr) -> Expr:
        if other.startswith("uint"):
            return power
        odd = (exponent & tirx.const(1, other)) != tirx.const(0, other)
        is_minus_one = tirx.const(0, "bool") if dtype.startswith("uint") else x == tirx.const(-1, dtype)
        unit = tirx.Select(is_minus_one, tirx.Select(odd, x, one), tirx.Select(x == one, one, zero))
        return tirx.Select(exponent < tirx.const(0, other), unit, power)

    return sequential("integer_power", [base, exponent], [(shape, dtype)], emit)
