"""What windows read at the border of a plane; interpolation in programs, which are interpreted."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import tvm
from tvm.relax import op

from frontends.window_sum import Taps, window_sum
from tests.passes.modules import const, module, random_weight
from tvm_passes.interpret import run_program
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.tiling import NO_TILING, Tiling
from tvm_passes.verify import run_module
from tvm_passes.window_taps import has_empty, window_taps

MACHINES = {
    lanes: tvm.target.Target({"kind": "llvm", "mcpu": name})
    for lanes, name in ((4, "x86-64"), (8, "haswell"), (16, "znver4"))
}


def test_a_tap_outside_is_another_of_its_window() -> None:
    """Not the element at the border, which a dilated window does not hold."""
    taps = window_taps(2, 1, (1, 1), 2, results=5, size=5, count_padding=False)
    np.testing.assert_array_equal(taps.index, [[1, 1], [0, 2], [1, 3], [2, 4], [3, 3]])
    np.testing.assert_array_equal(taps.weight, np.full((5, 2), 0.5))


def test_what_is_beyond_the_padding_does_not_count() -> None:
    taps = window_taps(3, 2, (1, 1), 1, results=3, size=4, count_padding=True)
    np.testing.assert_array_equal(taps.index, [[0, 0, 1], [1, 2, 3], [3, 3, 3]])
    np.testing.assert_allclose(taps.weight.sum(axis=1), [2 / 3, 1, 1 / 2], rtol=1e-6)


def test_a_window_may_lie_in_the_padding_alone() -> None:
    assert has_empty(2, 1, 1, 2, results=1, size=1)
    assert not has_empty(2, 1, 1, 2, results=5, size=5)


def test_rows_that_are_read() -> None:
    taps = window_taps(3, 2, (1, 1), 1, results=4, size=7, count_padding=False)
    assert (taps.first(0), taps.first(2), taps.last(1), taps.last(4)) == (0, 3, 2, 7)


def _enlarged(size: int, weights: tuple[float, float] | None = (0.75, 0.25)) -> Taps:
    """Every element twice, or interpolated between it and its neighbour."""
    index = np.arange(2 * size)[:, None] // 2
    if weights is None:
        return Taps(index, np.ones((2 * size, 1)))
    beside = (index + np.where(np.arange(2 * size)[:, None] % 2, 1, -1)).clip(0, size - 1)
    return Taps(np.hstack([index, beside]), np.tile(weights, (2 * size, 1)))


@cache
def _between_convolutions(chosen: bool) -> tuple[tvm.IRModule, np.ndarray, np.ndarray]:
    """A network, its input, and what it computes."""
    generator = np.random.default_rng(0)
    weights = None if chosen else (0.75, 0.25)

    def body(emit, x):
        y = emit(op.nn.relu(emit(op.nn.conv2d(x, const(random_weight(generator, 12, 6, 1, 1))))))
        y = emit(window_sum(y, {2: _enlarged(7, weights), 3: _enlarged(5, weights)}))
        y = emit(op.nn.relu(emit(op.add(y, const(random_weight(generator, 1, 12, 1, 1))))))
        return emit(op.nn.conv2d(y, const(random_weight(generator, 9, 12, 3, 3)), padding=(1, 1)))

    mod = module([(2, 6, 7, 5)], body)
    x = generator.standard_normal((2, 6, 7, 5)).astype("float32")
    return mod, x, run_module(mod, [tvm.runtime.tensor(x)])[0]


@pytest.mark.parametrize("lanes", MACHINES)
@pytest.mark.parametrize("chosen", [False, True], ids=["interpolated", "chosen"])
@pytest.mark.parametrize(
    ("tiling", "threads"), [(NO_TILING, 1), (NO_TILING, 2), (Tiling(stages=5, tiles=3), 2)]
)
def test_resized_between_convolutions(lanes: int, chosen: bool, tiling: Tiling, threads: int) -> None:
    """One stage with its epilogue, in chains as well, on every machine."""
    mod, x, expected = _between_convolutions(chosen)
    options = PipelineOptions(threads=threads, tiling=tiling, winograd=False)
    lowered = lower_module(mod, MACHINES[lanes], options)
    kinds = [step.kind for step in lowered.steps]
    assert "generic" not in kinds
    assert kinds.count("window_pool" if tiling is NO_TILING else "chain") == 1
    np.testing.assert_allclose(run_program(lowered, [x])[0], expected, rtol=1e-4, atol=1e-4)


def test_a_dilated_maximum_with_padding() -> None:
    mod = module([(1, 3, 5, 5)], lambda emit, x: emit(op.nn.max_pool2d(x, (2, 2), (1, 1), (1, 1), (2, 2))))
    x = np.random.default_rng(0).standard_normal((1, 3, 5, 5)).astype("float32")
    lowered = lower_module(mod, MACHINES[8], PipelineOptions())
    np.testing.assert_array_equal(run_program(lowered, [x])[0], run_module(mod, [tvm.runtime.tensor(x)])[0])
