"""Predicted times against the formula, by hand."""

from __future__ import annotations

import pytest

from tests.staged.programs import ConvAdd
from tvm_passes.staged.predict import EngineRates, Prediction, flops, pipelines, predict
from tvm_passes.staged.tile import tile

ROWS, WIDTH, CHANNELS, OUT = 8, 8, 4, 6
CASE = ConvAdd(height=ROWS, width=WIDTH, kernel=1, padding=0, channels=CHANNELS, out_channels=OUT)
CONV = 2 * ROWS * WIDTH * CHANNELS * OUT
ADD = 2 * ROWS * WIDTH * OUT  # add and relu


def _predict(tiles: int, convolution: float, vector: float) -> Prediction:
    program = tile(CASE.program, tiles)
    (pipeline,) = pipelines(program)
    assert pipeline.tiles == tiles
    return predict(program, pipeline, EngineRates(convolution, vector))


def test_what_steps_compute() -> None:
    program = tile(CASE.program, 4)
    (pipeline,) = pipelines(program)
    by_part = {"convolution": 0, "epilogue": 0}
    for step in pipeline.steps:
        by_part[step.part] += flops(program, step)
    assert by_part == {"convolution": CONV, "epilogue": ADD}


@pytest.mark.parametrize("tiles", [1, 2, 4, 8])
def test_balanced_engines_hide_all_but_one_tile(tiles: int) -> None:
    found = _predict(tiles, CONV, ADD)  # one second each
    assert found.sequential == pytest.approx(2)
    assert found.pipelined == pytest.approx((tiles + 1) / tiles)


def test_one_tile_gains_nothing() -> None:
    assert _predict(1, 1e9, 1e9).speed_up == pytest.approx(1)


def test_the_slower_engine_decides() -> None:
    found = _predict(4, CONV / 3, ADD)  # 3 s of convolution, 1 s of sums
    assert found.pipelined == pytest.approx(3 + 1 / 4)
    assert found.speed_up == pytest.approx(4 / 3.25)


def test_intervals_begin_at_barriers() -> None:
    found = _predict(4, CONV, ADD)
    starts = [0.0, *found.barriers[:-1]]
    for number, stage in enumerate(found.pipeline.stages):
        for interval in found.intervals:
            if interval.step in stage.steps:
                assert interval.start == starts[number]
                assert interval.stop <= found.barriers[number]


@pytest.mark.parametrize("rates", [(0.0, 1.0), (1.0, -1.0)])
def test_rates_are_above_zero(rates: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be > 0"):
        EngineRates(*rates)
