"""The stages of a Conv + Add, and that what runs side by side does not meet in memory."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.staged.programs import CASES, ConvAdd
from tvm_passes.staged.program import Stage, StagedProgram
from tvm_passes.staged.tile import tile


def _pipeline(program: StagedProgram) -> list[Stage]:
    return [stage for stage in program.stages if stage.steps[0].operator == "conv"]


@pytest.mark.parametrize("tiles", [1, 2, 3, 7])
def test_one_stage_more_than_tiles_and_one_less_overlapped(tiles: int) -> None:
    stages = _pipeline(tile(ConvAdd(height=7).program, tiles))
    steps = [[(step.part, step.tile, step.engine) for step in stage.steps] for stage in stages]
    first, last = ("convolution", 0, "convolution"), ("epilogue", tiles - 1, "vector")
    middle = [[("convolution", t, "convolution"), ("epilogue", t - 1, "vector")] for t in range(1, tiles)]
    assert steps == [[first], *middle, [last]]


def test_tiles_take_two_buffers_by_turns() -> None:
    program = tile(ConvAdd(height=7).program, 3)
    tiles = [buffer for buffer in program.buffers if buffer.kind == "tile"]
    assert [(buffer.name, buffer.shape) for buffer in tiles] == [
        ("conv.tile0", (1, 6, 3, 5)),
        ("conv.tile1", (1, 6, 3, 5)),
    ]
    written = [s.writes for stage in _pipeline(program) for s in stage.steps if s.part == "convolution"]
    assert [(w.buffer, w.rows) for w in written] == [
        ("conv.tile0", (0, 3)),
        ("conv.tile1", (0, 2)),
        ("conv.tile0", (0, 2)),
    ]


def test_one_tile_takes_one_buffer() -> None:
    assert sum(buffer.kind == "tile" for buffer in tile(ConvAdd().program, 1).buffers) == 1


def test_rows_with_their_halo() -> None:
    """Stride 2, dilation 2, an odd height: the last tile is shorter and reaches below the plane."""
    program = tile(ConvAdd(height=13, kernel=3, stride=2, dilation=2, padding=2).program, 4)
    convolutions = [stage.steps[0] for stage in _pipeline(program)[:-1]]
    assert [step.rows for step in convolutions] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert [step.operand_rows for step in convolutions] == [(0, 5), (2, 9), (6, 13), (10, 13)]
    assert [step.padding_rows for step in convolutions] == [(2, 0), (0, 0), (0, 0), (0, 2)]
    assert [step.reads[0].rows for step in convolutions] == [(0, 5), (2, 9), (6, 13), (10, 13)]


def test_rows_that_are_read_through_a_shift() -> None:
    program = tile(ConvAdd(height=8, kernel=1, padding=0, offset=(2, 0)).program, 4)
    convolutions = [stage.steps[0] for stage in _pipeline(program)[:-1]]
    assert [step.operand_rows for step in convolutions] == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert [[read.rows for read in step.reads] for step in convolutions] == [[(2, 4)], [(4, 6)], [(6, 8)], []]


def test_what_comes_before_the_sum_stays_with_the_convolution() -> None:
    kinds = {
        relu_first: [post.kind for post in operator.epilogue[: operator.split]]
        for relu_first in (True, False)
        for operator in ConvAdd(relu_first=relu_first).program.residual
    }
    assert kinds == {True: ["add_vector", "relu"], False: ["add_vector"]}


def test_a_convolution_without_sum_is_one_stage() -> None:
    program = ConvAdd().program
    (conv,) = program.operators
    plain = attrs.evolve(program, operators=(attrs.evolve(conv, epilogue=conv.epilogue[:1]),))
    (stage,) = tile(plain, 4).stages
    assert [(step.part, step.rows) for step in stage.steps] == [("whole", (0, 7))]


@settings(deadline=None, max_examples=60)
@given(CASES, st.integers(1, 8))
def test_steps_side_by_side_do_not_meet(case: ConvAdd, tiles: int) -> None:
    for stage in tile(case.program, tiles).stages:
        assert len({step.engine for step in stage.steps}) == len(stage.steps)
        for step in stage.steps:
            others = [other for other in stage.steps if other is not step]
            touched = {access.buffer for other in others for access in (*other.reads, other.writes)}
            assert step.writes.buffer not in touched
