"""Numbers of fewer than 8 bits and floats of 8: casts, roundings, quantization, and what moves them."""

from __future__ import annotations

from collections.abc import Iterator

import ml_dtypes
import numpy as np
from onnx import helper

from .joined import Array, Case

OPSET = 26
FLOATS = (
    *("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
)
INTEGERS = ("int2", "uint2", "int4", "uint4")
_EXACT = 1e-12


def _type(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name))


def _kind(name: str) -> int:
    return helper.np_dtype_to_tensor_dtype(_type(name))


def all_numbers(name: str) -> Array:
    """Every number of the type but NaN, in float32."""
    bits = {"2": 2, "4": 4, "6": 6}.get(name[name.index("t") + 1], 8)
    numbers = np.arange(1 << bits, dtype=np.uint8).view(_type(name)).astype(np.float32)
    return numbers[np.isfinite(numbers)]


def around(name: str) -> Array:
    """Every number of a float type, what lies between two of them, and just beside that; and beyond."""
    grid = np.sort(all_numbers(name))
    middles = (grid[1:] + grid[:-1]) / 2
    beside = [np.nextafter(middles, np.float32(side), dtype=np.float32) for side in (-np.inf, np.inf)]
    beyond = np.float32([1.01, 1.2, 3, 1e30]) * grid[-1]
    special = np.float32([0.0, -0.0, np.inf, -np.inf])
    return np.concatenate([grid, middles, *beside, beyond, -beyond, special])


def cast_cases() -> Iterator[Case]:
    """To floats with and without saturation, to integers in range; and back to every wider type."""
    random = np.random.default_rng(31)
    for name in FLOATS:
        for saturate in (0, 1):
            yield Case(
                f"Cast-float32-{name}-{saturate}",
                "Cast",
                [np.append(around(name), np.float32(np.nan)) if "8" in name else around(name)],
                {"to": _kind(name), "saturate": saturate},
                opset=OPSET,
                judge="reference",
                tolerance=_EXACT,
            )
    for name in INTEGERS:
        x = all_numbers(name)
        for source in ("float32", "float16", "int32", "uint8" if name.startswith("u") else "int8"):
            yield _reference(f"Cast-{source}-{name}", "Cast", [x.astype(source)], to=_kind(name))
    for mode in ("up", "down", "nearest"):
        x = np.exp2(random.uniform(-60, 60, 50)).astype(np.float32)
        exact = np.exp2(np.arange(-126, 128, dtype=np.float32))
        yield _reference(
            f"Cast-exponent-{mode}",
            "Cast",
            [np.concatenate([x, exact, 1.5 * exact[:-1]])],
            to=_kind("float8_e8m0fnu"),
            round_mode=mode,
        )
    for name in (*FLOATS, *INTEGERS, "float8_e8m0fnu"):
        x = all_numbers(name).astype(_type(name))
        for target in ("float32", "float64"):
            yield _reference(
                f"Cast-{name}-{target}", "Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype(target))
            )
        yield _reference(f"CastLike-{name}", "CastLike", [x, np.zeros(1, "float32")])
        yield _reference(f"CastLike-to-{name}", "CastLike", [x.astype("float32"), x[:1]])


def quantization_cases() -> Iterator[Case]:
    """Of a tensor, of slices along an axis, of blocks; zero points of integers."""
    random = np.random.default_rng(32)
    for name in (*FLOATS, *INTEGERS):
        # Quotients of 1.25 and 0.75 in float32 are not what they are in wider types; there are no ties here.
        x = random.uniform(-4, 4, (4, 6)).astype(np.float32)
        for form, shape, attributes in (
            ("tensor", (), {}),
            ("axis", (6,), {"axis": 1}),
            ("blocks", (2, 6), {"axis": 0, "block_size": 2}),
        ):
            scale = random.uniform(0.2, 0.9, shape).astype(np.float32)
            zero = np.zeros(shape, _type(name))
            if name in INTEGERS:
                zero = random.integers(0, 2, shape).astype(np.int8).astype(_type(name))
            codes = random.choice(all_numbers(name), (4, 6)).astype(_type(name))
            yield _reference(
                f"QuantizeLinear-{name}-{form}", "QuantizeLinear", [x, scale, zero], **attributes
            )
            yield _reference(
                f"DequantizeLinear-{name}-{form}", "DequantizeLinear", [codes, scale, zero], **attributes
            )


def moving_cases() -> Iterator[Case]:
    random = np.random.default_rng(33)
    for name in ("int4", "float8_e4m3fn", "float4_e2m1fn"):
        x = random.choice(all_numbers(name), (3, 4)).astype(_type(name))
        yield _reference(f"Identity-{name}", "Identity", [x])
        yield _reference(f"Transpose-{name}", "Transpose", [x], perm=[1, 0])
        yield Case(
            f"Reshape-{name}", "Reshape", [x, np.array([2, 6])], constant=(1,), opset=OPSET, judge="reference"
        )
        yield Case(
            f"Pad-{name}",
            "Pad",
            [x, np.array([1, 0, 0, 2]), x[1, 1]],
            constant=(1, 2),
            opset=OPSET,
            judge="reference",
            tolerance=_EXACT,
        )


def _reference(name: str, operator: str, inputs: list[Array], **attributes: object) -> Case:
    return Case(name, operator, inputs, attributes, opset=OPSET, judge="reference", tolerance=_EXACT)
