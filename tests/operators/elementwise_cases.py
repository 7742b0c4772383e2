"""Element-wise operators of ONNX × every type their schema allows × ways to broadcast."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from ml_dtypes import bfloat16

from .joined import Array, Case, expected_of

OPSET = 21
TYPES: Mapping[str, np.dtype] = {
    "tensor(float16)": np.dtype(np.float16),
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{f"tensor(int{b})": np.dtype(f"int{b}") for b in (8, 16, 32, 64)},
    **{f"tensor(uint{b})": np.dtype(f"uint{b}") for b in (8, 16, 32, 64)},
    "tensor(bool)": np.dtype(bool),
}
BROADCASTS = (
    ((2, 3, 4, 5), (2, 3, 4, 5)),
    ((2, 3, 4, 5), (3, 1, 1)),
    ((2, 3, 4, 5), ()),
    ((4, 1), (2, 1, 4, 5)),
    ((7,), (7,)),
    ((), ()),
    ((2, 1, 3), (1, 4, 1)),
    ((2, 8, 3, 3), (2, 8, 1, 1)),
)
UNARY: Mapping[str, Sequence[Mapping[str, Any]]] = {
    **dict.fromkeys(
        [
            "Abs",
            "Acos",
            "Acosh",
            "Asin",
            "Asinh",
            "Atan",
            "Atanh",
            "BitwiseNot",
            "Ceil",
            "Cos",
            "Cosh",
            "Erf",
            "Exp",
            "Floor",
            "HardSwish",
            "Identity",
            "IsNaN",
            "Log",
            "Mish",
            "Neg",
            "Not",
            "Reciprocal",
            "Relu",
            "Round",
            "Sigmoid",
            "Sign",
            "Sin",
            "Sinh",
            "Softplus",
            "Softsign",
            "Sqrt",
            "Tan",
            "Tanh",
        ],
        ({},),
    ),
    "Celu": ({}, {"alpha": 2.0}),
    "Elu": ({}, {"alpha": 0.5}),
    "Gelu": ({}, {"approximate": "tanh"}),
    "HardSigmoid": ({}, {"alpha": 0.5, "beta": 0.25}),
    "IsInf": (
        {},
        {"detect_negative": 0},
        {"detect_positive": 0},
        {"detect_positive": 0, "detect_negative": 0},
    ),
    "LeakyRelu": ({}, {"alpha": 0.3}),
    "Selu": ({}, {"alpha": 1.5, "gamma": 0.5}),
    "Shrink": ({}, {"lambd": 0.3, "bias": 0.1}),
    "ThresholdedRelu": ({}, {"alpha": 0.3}),
    "Softmax": ({}, {"axis": 0}),
    "LogSoftmax": ({}, {"axis": 0}),
    "Hardmax": ({}, {"axis": 0}),
}
BINARY: Mapping[str, Sequence[Mapping[str, Any]]] = {
    **dict.fromkeys(
        [
            "Add",
            "And",
            "BitwiseAnd",
            "BitwiseOr",
            "BitwiseXor",
            "Div",
            "Equal",
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "Max",
            "Mean",
            "Min",
            "Mul",
            "Or",
            "PRelu",
            "Sub",
            "Sum",
            "Xor",
        ],
        ({},),
    ),
    "BitShift": ({"direction": "LEFT"}, {"direction": "RIGHT"}),
    "Mod": ({"fmod": 1}, {"fmod": 0}),
}
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan)


def values(random: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...], operator: str = "") -> Array:
    """Numbers of every kind a type has: its limits, infinities and NaN among them."""
    size = int(np.prod(shape))
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        numbers = random.integers(max(limits.min, -20), 20, size).astype(dtype)
        numbers[: size // 8] = random.choice(np.array([limits.min, limits.max], dtype), size // 8)
        return numbers.reshape(shape)
    numbers = random.standard_normal(size) * random.choice([0.3, 1.0, 4.0], size)
    numbers[: size // 4] = random.choice(SPECIAL, size // 4)
    return numbers.astype(dtype).reshape(shape)


def types_of(operator: str, opset: int = OPSET) -> Iterator[np.dtype]:
    """The types its first input may have."""
    schema = onnx.defs.get_schema(operator, opset)
    constraint = schema.inputs[0].type_str
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}[constraint]
    return (TYPES[name] for name in sorted(allowed) if name in TYPES)


def unary_cases() -> Iterator[Case]:
    random = np.random.default_rng(1)
    for operator, variants in UNARY.items():
        for dtype, attributes in itertools.product(types_of(operator), variants):
            shape = (2, 3, 4, 5) if operator != "Acosh" else (40,)
            x = values(random, dtype, shape, operator)
            if "max" in operator:
                x = np.nan_to_num(x, nan=0.25, posinf=3, neginf=-3).astype(dtype)
            if operator == "Gelu":  # the tanh form of -inf is -inf times zero, or times what is nearly zero
                x = np.nan_to_num(x, nan=np.nan, posinf=np.inf, neginf=-60.0).astype(dtype)
            if operator == "Shrink" and dtype.kind in "iu":  # results beyond a type's limits are not defined
                x = random.integers(0 if dtype.kind == "u" else -20, 20, shape).astype(dtype)
            judge = "reference" if operator == "Sign" else "any"  # onnxruntime's float16 has no sign of NaN
            yield Case(
                _name(operator, dtype, attributes), operator, [x], attributes, opset=OPSET, judge=judge
            )


def binary_cases() -> Iterator[Case]:
    random = np.random.default_rng(2)
    shapes = itertools.cycle(BROADCASTS)
    for operator, variants in BINARY.items():
        for dtype, attributes in itertools.product(types_of(operator), variants):
            if operator == "Mod" and attributes["fmod"] == 0 and dtype.kind not in "iu":
                continue  # ONNX asks for fmod=1 with floating-point numbers
            left, right = next(shapes)
            if operator == "PRelu":
                left, right = left or (3,), right or (1,)
                left, right = max(left, right, key=len), min(left, right, key=len)
                right = right if len(right) < len(left) else (1,)
            a, b = values(random, dtype, left, operator), values(random, dtype, right, operator)
            if operator in ("Div", "Mod") and dtype.kind in "iu":
                b = np.where(b == 0, 3, b).astype(dtype)  # see divisor_cases
                if dtype.kind == "i":
                    b = np.where(b == -1, 2, b).astype(dtype)
            if operator == "BitShift":
                b = random.integers(0, 8 * dtype.itemsize, right).astype(dtype)
            name = f"{_name(operator, dtype, attributes)}-{left}-{right}".replace(" ", "")
            yield Case(name, operator, [a, b], attributes, opset=OPSET)


def power_cases() -> Iterator[Case]:
    """Bases and exponents of any two types; the result has the base's."""
    random = np.random.default_rng(11)
    kinds = ("float32", "float64", "float16", "int32", "int64")
    for base, exponent in itertools.product(kinds, (*kinds, "uint8", "int8")):
        a = random.integers(1, 5, (2, 3, 4)).astype(base)
        b = random.integers(0, 5, (3, 1)).astype(exponent)
        yield Case(f"Pow-{base}-{exponent}", "Pow", [a, b], opset=OPSET)
    powers = [np.array([-2, -1, 0, 1, 2, 5], "int64")[:, None], np.array([0, 1, 2, 7, 62], "int64")]
    expected = np.array([[int(a) ** int(b) for b in powers[1]] for a in powers[0][:, 0]], object)
    wrapped = np.array([[(v + 2**63) % 2**64 - 2**63 for v in row] for row in expected], "int64")
    yield Case("Pow-int64-large", "Pow", powers, opset=OPSET, expected=[wrapped])


def divisor_cases() -> Iterator[Case]:
    """Quotients of integers that would end the process."""
    for dtype in (np.int8, np.int32, np.int64, np.uint8):
        lowest = np.iinfo(dtype).min
        a = np.array([lowest, 7, lowest + 1, 9], dtype)
        b = np.array([-1, 0, 2, 0], np.int64).astype(dtype)
        halves = -(-(int(lowest) + 1) // 2)
        if np.dtype(dtype).kind == "u":
            quotients, rest = [0, 0, 0, 0], [0, 0, 1, 0]
        else:
            quotients, rest = [lowest, 0, halves, 0], [0, 0, 1, 0]
        name = np.dtype(dtype).name
        yield Case(f"Div-{name}-by-zero", "Div", [a, b], opset=OPSET, expected=[np.array(quotients, dtype)])
        yield Case(f"Mod-{name}-by-zero", "Mod", [a, b], opset=OPSET, expected=[np.array(rest, dtype)])


def bfloat16_cases() -> Iterator[Case]:
    """What the operators are of float32, rounded: onnxruntime computes none of them."""
    random = np.random.default_rng(12)
    for operator, variants in (UNARY | BINARY).items():
        schema = onnx.defs.get_schema(operator, OPSET)
        types = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
        if "tensor(bfloat16)" not in types[schema.inputs[0].type_str] or operator == "Mod":
            continue
        for attributes in variants:
            count = 1 if operator in UNARY else 2
            rounded = [random.uniform(0.1, 0.9, (2, 3, 4)).astype(bfloat16) for _ in range(count)]
            if operator == "Acosh":
                rounded = [1 / each for each in rounded]
            single = Case("", operator, [each.astype("float32") for each in rounded], attributes, opset=OPSET)
            expected = [
                each.astype(bfloat16) if each.dtype.kind == "f" else each for each in expected_of(single)
            ]
            name = _name(operator, np.dtype(bfloat16), attributes)
            yield Case(name, operator, rounded, attributes, opset=OPSET, expected=expected)


def _name(operator: str, dtype: np.dtype, attributes: Mapping[str, Any]) -> str:
    return "-".join([operator, str(dtype), *(f"{key}={value}" for key, value in attributes.items())])
