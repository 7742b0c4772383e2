"""Winograd's minimal filtering: its matrices, and the two transforms as kernels."""

from __future__ import annotations

import numpy as np
import pytest
import tvm

import schedules
from schedules import ScheduleError
from schedules.winograd import BY_OUTPUTS, Winograd
from schedules.workload import EpilogueOp, WinogradInput, WinogradOutput
from tests.schedules import reference
from tests.schedules.harness import host_targets, run

FORMS = list(BY_OUTPUTS.values())
TARGETS = host_targets()
LANES = 8


def _matrices(form: Winograd) -> tuple[np.ndarray, np.ndarray]:
    return np.array(form.patch, np.float64), np.array(form.product, np.float64)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"F{form.outputs}")
def test_the_identity_holds_exactly(form: Winograd) -> None:
    """Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A is the convolution of d with g."""
    generator = np.random.default_rng(0)
    d = generator.integers(-8, 9, (form.size, form.size)).astype(np.float64)
    g = generator.integers(-8, 9, (3, 3)).astype(np.float64)
    patch, product = _matrices(form)
    filters = np.array(form.filter, np.float64)
    actual = product @ ((filters @ g @ filters.T) * (patch @ d @ patch.T)) @ product.T
    m = form.outputs
    expected = [[(d[i : i + 3, j : j + 3] * g).sum() for j in range(m)] for i in range(m)]
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"F{form.outputs}")
def test_filters_are_transformed_for_every_pair_of_channels(form: Winograd) -> None:
    weights = np.random.default_rng(1).standard_normal((5, 4, 3, 3)).astype(np.float32)
    g = np.array(form.filter, np.float64)
    transformed = form.transform_filters(weights)
    assert transformed.shape == (form.size**2, 5, 4)
    expected = g @ weights[3, 2] @ g.T
    np.testing.assert_allclose(transformed[:, 3, 2], expected.reshape(-1), rtol=1e-6)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t.attrs["mcpu"]))
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"F{form.outputs}")
def test_input_transform(form: Winograd, target: tvm.target.Target) -> None:
    blocks, tiles, columns = 2, 3, 20
    row = columns * LANES
    workload = WinogradInput(form.outputs, blocks, LANES, tiles, row, LANES)
    kernel = schedules.build(workload, target)
    generator = np.random.default_rng(2)
    x = generator.standard_normal(2 * 12 * row).astype(np.float32)
    tables = {"xo": [12 * row, 0], "xp": [0, row + 2 * LANES, 3 * row + 5 * LANES]}
    arguments = {
        "x": x,
        **{name: np.array(table, np.int32) for name, table in tables.items()},
        "y": np.full(form.size**2 * blocks * tiles * LANES, np.nan, np.float32),
    }
    expected = reference.expected(workload, arguments)
    np.testing.assert_allclose(run(kernel, arguments, target), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: str(t.attrs["mcpu"]))
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"F{form.outputs}")
def test_output_transform_with_epilogue(form: Winograd, target: tvm.target.Target) -> None:
    blocks, tiles, m = 2, 2, form.outputs
    points, pixels = form.size**2, tiles * m * m
    epilogue = (EpilogueOp("add_vector"), EpilogueOp("relu"))
    workload = WinogradOutput(m, blocks, LANES, tiles, epilogue)
    kernel = schedules.build(workload, target)
    generator = np.random.default_rng(3)
    x = generator.standard_normal((points, blocks, tiles, LANES)).astype(np.float32)
    bias = generator.standard_normal(blocks * LANES).astype(np.float32)
    arguments = {
        "x": x.reshape(-1),
        "yo": np.array([0, pixels * LANES], np.int32),
        "yp": (generator.permutation(pixels) * LANES).astype(np.int32),
        "y": np.full(blocks * pixels * LANES, np.nan, np.float32),
        "e0": bias,
    }
    expected = reference.expected(workload, arguments)
    np.testing.assert_allclose(run(kernel, arguments, target), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"F{form.outputs}")
def test_a_pixel_beyond_the_plane_gives_way_to_the_first(form: Winograd) -> None:
    m = form.outputs
    kernel = schedules.build(WinogradOutput(m, 1, LANES, 1), TARGETS[0])
    x = np.random.default_rng(4).standard_normal((form.size**2, LANES)).astype(np.float32)
    out = run(
        kernel,
        {
            "x": x.reshape(-1),
            "yo": np.zeros(1, np.int32),
            "yp": np.zeros(m * m, np.int32),
            "y": np.full(LANES, np.nan, np.float32),
        },
        TARGETS[0],
    )
    _, product = _matrices(form)
    first = np.einsum("r,rsv,s->v", product[0], x.reshape(form.size, form.size, LANES), product[0])
    np.testing.assert_allclose(out, first, rtol=1e-5, atol=1e-5)


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ScheduleError, match="no Winograd form with 3 x 3 outputs"):
        schedules.build(WinogradOutput(3, 1, LANES, 1), TARGETS[0])
