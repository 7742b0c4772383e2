"""Staged programs survive their JSON; what is none is refused in words."""

from __future__ import annotations

import json
import math

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.staged.programs import CASES, ConvAdd
from tvm_passes.staged.json_form import from_json, to_json
from tvm_passes.staged.program import Operand, Operator, PostOperation, StagedProgram, StagedProgramError
from tvm_passes.staged.tile import tile


@settings(deadline=None, max_examples=50)
@given(CASES, st.integers(1, 5))
def test_round_trip(case: ConvAdd, tiles: int) -> None:
    program = attrs.evolve(tile(case.program, tiles), weights="model.npz")
    assert from_json(to_json(program)) == program


def _with_operator(operator: Operator) -> StagedProgram:
    return attrs.evolve(ConvAdd().program, operators=(operator,))


def test_infinite_bounds_are_standard_json() -> None:
    clip = PostOperation("clip", (0.5, math.inf))
    program = _with_operator(
        Operator("conv", "elementwise", ("clip",), Operand(("r",)), "conv", epilogue=(clip,))
    )
    text = to_json(program)
    assert json.loads(text, parse_constant=pytest.fail)["operators"][0]["epilogue"] == [
        {"kind": "clip", "constants": [0.5, "inf"]}
    ]
    assert from_json(text) == program


def test_a_generic_operator_keeps_its_name_and_attributes() -> None:
    operator = Operator(
        "conv",
        "generic",
        ("sort",),
        Operand(("x", "r")),
        "conv",
        relax="relax.sort",
        attributes=(("axis", "1"),),
    )
    program = tile(_with_operator(operator), 4)
    assert from_json(to_json(program)) == program


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unexpected or missing entry"),
        ("[]", "not a JSON object"),
        ("{}", "unexpected or missing entry: 'format'"),
        ('{"format": 2}', "format 2, this shiftc reads format 1"),
    ],
)
def test_other_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(StagedProgramError, match=message):
        from_json(text)


@pytest.mark.parametrize("entry", ["model", "buffers", "operators", "stages"])
def test_a_missing_entry_is_named(entry: str) -> None:
    plain = json.loads(to_json(tile(ConvAdd().program, 2)))
    del plain[entry]
    with pytest.raises(StagedProgramError, match=entry):
        from_json(json.dumps(plain))


def test_an_unknown_field_is_named() -> None:
    plain = json.loads(to_json(tile(ConvAdd().program, 2)))
    plain["operators"][0]["colour"] = "red"
    with pytest.raises(StagedProgramError, match="colour"):
        from_json(json.dumps(plain))


def test_names_that_are_not_there() -> None:
    program = ConvAdd().program
    with pytest.raises(StagedProgramError, match="no buffer 'attic'"):
        program.buffer("attic")
    with pytest.raises(StagedProgramError, match="no operator 'attic'"):
        program.operator("attic")
