"""Every epilogue step against float64, and that none of them calls the C library."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tvm

import schedules
from schedules.activation import UNARY
from schedules.epilogue import TENSOR, VECTOR
from schedules.workload import Elementwise, EpilogueOp, IndexedConv
from tests.schedules import reference
from tests.schedules.harness import compile_call, host_targets, run

TARGETS = [pytest.param(target, id=str(target.attrs["mcpu"])) for target in host_targets()]
CONSTANTS: dict[str, list[tuple[float, ...]]] = {
    "clip": [(0.0, 6.0), (-1.5, 0.25)],
    "leaky_relu": [(0.1,)],
    "hard_sigmoid": [(0.2, 0.5), (1 / 6, 0.5)],
    "add_scalar": [(0.75,)],
    "multiply_scalar": [(-1.25,)],
    "power_scalar": [(2.0,), (3.0,), (0.5,), (-1.0,), (-0.5,), (1.0,), (0.0,), (1.7,)],
}
UNARY_STEPS = [EpilogueOp(kind, constants) for kind in UNARY for constants in CONSTANTS.get(kind, [()])]
BINARY_STEPS = [EpilogueOp(kind) for kind in VECTOR] + [
    EpilogueOp(kind, access=access, swapped=swapped)  # type: ignore[arg-type]
    for kind in TENSOR
    for access in ("block", "lane", "channel")
    for swapped in (False, True)
]


def identifier(step: EpilogueOp) -> str:
    parts = (step.kind, step.access, "swapped" if step.swapped else "", *step.constants)
    return "-".join(str(part) for part in parts if part not in ("", None))


def samples(step: EpilogueOp) -> reference.Array:
    """Values over the interesting range; positive ones where the function wants them."""
    values = np.concatenate(
        [np.linspace(-30, 30, 2000), np.linspace(-86, 86, 400), np.linspace(-1e-3, 1e-3, 400), [0.0] * 16]
    )
    positive = step.kind == "sqrt" or (step.kind == "power_scalar" and step.constants != (2.0,))
    values = np.abs(values) + 1e-6 if positive else values
    return values[: len(values) // 16 * 16].astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("step", UNARY_STEPS, ids=identifier)
def test_unary_step(target: tvm.target.Target, step: EpilogueOp) -> None:
    lanes = schedules.machine_of(target).lanes
    x = samples(step)
    pixels = len(x) // lanes
    kernel = schedules.build(Elementwise(1, lanes, pixels, "block", (step,)), target)
    offsets = (np.arange(pixels) * lanes).astype(np.int32)
    zero = np.zeros(1, np.int32)
    arguments = {"x": x, "xb": zero, "xp": offsets, "yo": zero, "yp": offsets, "y": np.zeros_like(x)}
    expected = reference.apply_epilogue((step,), x.astype(np.float64).reshape(1, pixels, lanes), {})
    actual = run(kernel, arguments, target)
    # 1e-6 of the result, or of what cancels in it: a factor x, a constant near one.
    cancels = {"gelu": np.abs(x), "gelu_tanh": np.abs(x), "silu": np.abs(x), "hard_swish": np.abs(x)}
    scale = cancels.get(step.kind, 1.0 if step.kind in ("hard_sigmoid", "add_scalar") else 0.0)
    error = np.abs(actual - expected.ravel())
    allowed = 1e-6 * np.maximum(np.abs(expected.ravel()), scale) + 1e-37
    assert error[error > allowed].size == 0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("step", BINARY_STEPS, ids=identifier)
def test_step_with_operand(target: tvm.target.Target, step: EpilogueOp) -> None:
    rng = np.random.default_rng(0)
    lanes, blocks, pixels, channels = schedules.machine_of(target).lanes, 3, 13, 5
    workload = IndexedConv(channels, blocks, lanes, pixels, 1, (step,))
    kernel = schedules.build(workload, target)
    weights = rng.standard_normal((blocks * lanes, channels)).astype(np.float32)
    weights = np.abs(weights) if step.kind == "divide" else weights
    arguments = {
        "x": rng.uniform(0.5, 2.0, reference.INPUT_SIZE).astype(np.float32),
        "ct": reference.table(rng, channels),
        "pt": reference.table(rng, pixels),
        "k": schedules.pack_weights(kernel, weights),
        **reference.scattered_output(rng, blocks, pixels, lanes),
        **reference.epilogue_arguments(rng, (step,), blocks, lanes, pixels),
    }
    expected = reference.expected(workload, arguments, weights)
    np.testing.assert_allclose(run(kernel, arguments, target), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    "kind", ["exp", "tanh", "sigmoid", "erf", "gelu", "gelu_tanh", "silu", "sqrt", "relu"]
)
def test_vector_functions_call_no_library(kind: str) -> None:
    target = host_targets()[0]
    lanes = schedules.machine_of(target).lanes
    kernel = schedules.build(Elementwise(1, lanes, 8, "block", (EpilogueOp(kind),)), target)
    arrays = [
        np.zeros(8 * lanes, np.float32) if name in ("x", "y") else np.zeros(8, np.int32)
        for name in kernel.parameters
    ]
    _, _, executable = compile_call(kernel.func, arrays, target)
    called = set(re.findall(r"call\w*\s+\W*(\w+)", executable.mod.inspect_source("asm")))
    library = {name for name in called if re.match(r"(exp|tanh|erf|pow|sqrt|floor|log)f?\b", name)}
    assert not library


def test_infinite_and_tiny_exponentials() -> None:
    target = host_targets()[0]
    lanes = schedules.machine_of(target).lanes
    x = np.resize(np.array([89.0, 200.0, np.inf, -200.0, -np.inf, 88.7, 0.0, 1.0], np.float32), lanes)
    zero = np.zeros(1, np.int32)
    arguments = {"x": x, "xb": zero, "xp": zero, "yo": zero, "yp": zero, "y": np.zeros_like(x)}
    kernel = schedules.build(Elementwise(1, lanes, 1, "block", (EpilogueOp("exp"),)), target)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(run(kernel, arguments, target), np.exp(x), rtol=1e-6)
    kernel = schedules.build(Elementwise(1, lanes, 1, "block", (EpilogueOp("sigmoid"),)), target)
    expected = np.resize(np.array([1, 1, 1, 0, 0, 1, 0.5, 1 / (1 + np.exp(-1.0))]), lanes)
    np.testing.assert_allclose(run(kernel, arguments, target), expected, rtol=1e-6, atol=1e-37)
