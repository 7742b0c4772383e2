"""GELU and SiLU in both their forms, over all magnitudes, and where each form is used."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tvm

import schedules
from schedules.gates import GATES
from schedules.piecewise import fit
from schedules.workload import Elementwise, EpilogueOp
from tests.schedules import reference
from tests.schedules.harness import AVX2, AVX512, compile_call, host_targets, run

FORMS = [
    pytest.param(target, lanes, id=f"{target.attrs['mcpu']}-{lanes}")
    for target in host_targets()
    for lanes in sorted({1, 8, schedules.machine_of(target).lanes})
]
"""Lookups are of full vectors of AVX-512; all others are portable."""


def kernel_and_arguments(
    kind: str, x: reference.Array, lanes: int, target: tvm.target.Target
) -> tuple[schedules.Kernel, dict[str, reference.Array]]:
    """An element-wise kernel of one step and its arguments."""
    pixels = len(x) // lanes
    kernel = schedules.build(Elementwise(1, lanes, pixels, "block", (EpilogueOp(kind),)), target)
    offsets, zero = (np.arange(pixels) * lanes).astype(np.int32), np.zeros(1, np.int32)
    return kernel, {"x": x, "xb": zero, "xp": offsets, "yo": zero, "yp": offsets, "y": np.zeros_like(x)}


def result(kind: str, x: reference.Array, lanes: int, target: tvm.target.Target) -> reference.Array:
    kernel, arguments = kernel_and_arguments(kind, x, lanes, target)
    return run(kernel, arguments, target)


def assembly(kind: str, lanes: int, target: tvm.target.Target) -> str:
    kernel, arguments = kernel_and_arguments(kind, np.zeros(64, np.float32), lanes, target)
    _, _, executable = compile_call(kernel.func, [arguments[name] for name in kernel.parameters], target)
    return str(executable.mod.inspect_source("asm"))


def exact(kind: str, x: reference.Array) -> reference.Array:
    """x F(x) from Q of the magnitude, in float64: no digit of a small Q is lost."""
    wide = x.astype(np.float64)
    with np.errstate(over="ignore"):
        closed = GATES[kind].closed(np.abs(wide))
    return wide * np.where(wide < 0, closed, 1 - closed)


@pytest.mark.parametrize(("target", "lanes"), FORMS)
@pytest.mark.parametrize("kind", GATES)
def test_every_magnitude(kind: str, target: tvm.target.Target, lanes: int) -> None:
    powers = np.geomspace(1e-37, 1e12, 1000)
    x = np.concatenate([np.linspace(-20, 20, 6096), powers, -powers]).astype(np.float32)
    x = x[: len(x) // 16 * 16]
    error = np.abs(result(kind, x, lanes, target) - exact(kind, x)) / np.abs(x)
    assert error.max() < 1e-6


@pytest.mark.parametrize(("target", "lanes"), FORMS)
@pytest.mark.parametrize("kind", GATES)
def test_zero_infinity_and_nan(kind: str, target: tvm.target.Target, lanes: int) -> None:
    x = np.resize(np.array([0.0, np.inf, np.nan, -np.nan, 1.0], np.float32), 80)
    expected = np.resize(np.array([0.0, np.inf, np.nan, np.nan, exact(kind, np.ones(1))[0]]), 80)
    np.testing.assert_allclose(result(kind, x, lanes, target), expected, rtol=1e-6)


@pytest.mark.skipif(AVX512 not in host_targets(), reason="executes AVX-512")
@pytest.mark.parametrize("kind", GATES)
def test_lookups_are_closer_and_end_in_zero(kind: str) -> None:
    x = np.linspace(-20, 20, 16000).astype(np.float32)
    error = np.abs(result(kind, x, 16, AVX512) - exact(kind, x)) / np.abs(x)
    assert error.max() < 3e-7
    far = np.resize(np.array([-GATES[kind].limit, -1e30, -np.inf], np.float32), 48)
    assert not result(kind, far, 16, AVX512).any()


@pytest.mark.parametrize("kind", GATES)
def test_full_vectors_are_looked_up(kind: str) -> None:
    assert "vpermt2ps" in assembly(kind, 16, AVX512)
    assert "vdivps" not in assembly(kind, 16, AVX512)


@pytest.mark.parametrize(("target", "lanes"), [(AVX512, 8), (AVX512, 1), (AVX2, 8)])
@pytest.mark.parametrize("kind", GATES)
def test_other_vectors_divide(kind: str, target: tvm.target.Target, lanes: int) -> None:
    assert "vpermt2ps" not in assembly(kind, lanes, target)
    assert "vdiv" in assembly(kind, lanes, target)


def test_kernels_are_printed_without_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    kernel, _ = kernel_and_arguments("gelu", np.zeros(64, np.float32), 16, AVX512)
    assert "shiftc.gelu(" in kernel.func.script()
    assert not capfd.readouterr().err


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_pieces_are_as_close_as_their_degree_allows(degree: int) -> None:
    limit, segments = 20.0, 64
    table = fit(lambda x: np.exp(-x), limit, segments, degree)
    x = np.linspace(0, limit - limit / segments, 5000)
    rows = np.array(table.coefficients)[:, np.rint(x * table.per_unit).astype(int)]
    values = sum(row * x**power for power, row in enumerate(rows))
    bound = 2 * (limit / (segments - 1) / 4) ** (degree + 1) / math.factorial(degree + 1)
    rounded = 1e-7 * (degree + 1)
    assert np.all(np.abs(values - np.exp(-x)) < bound * np.exp(1 / 6 - x) + rounded)
    assert not any(row[-1] for row in table.coefficients)
