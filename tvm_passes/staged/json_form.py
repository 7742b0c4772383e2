"""The staged program as JSON, and back; described in docs/staged-program.md.

Entries that have their default value are left out; infinities, which JSON does not have, are the strings
"inf" and "-inf".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import attrs

from ..index_map_json import decode, encode
from .program import (
    ENGINES,
    FORMAT,
    Access,
    Buffer,
    Operand,
    Operator,
    Port,
    PostOperation,
    Stage,
    StagedProgram,
    StagedProgramError,
    Step,
)


def to_json(program: StagedProgram) -> str:
    """The program as it stands in the file: one line for each entry."""
    plain = {
        "format": program.format,
        "model": program.model,
        "weights": program.weights,
        "engines": list(ENGINES),
        "inputs": [attrs.asdict(port) for port in program.inputs],
        "outputs": [attrs.asdict(port) for port in program.outputs],
        "buffers": [attrs.asdict(buffer) for buffer in program.buffers],
        "operators": [_operator(operator) for operator in program.operators],
        "stages": [
            {"steps": [_step(step) for step in stage.steps], "barrier": number}
            for number, stage in enumerate(program.stages)
        ],
    }
    entries = ",\n".join(f'"{name}": {_entry(value)}' for name, value in plain.items())
    return f"{{\n{entries}\n}}\n"


def from_json(text: str) -> StagedProgram:
    """Reads what `to_json` wrote. Raises StagedProgramError for anything else."""
    try:
        plain = json.loads(text)
        if not isinstance(plain, dict):
            raise StagedProgramError("not a JSON object")
        if plain["format"] != FORMAT:
            raise StagedProgramError(f"format {plain['format']}, this shiftc reads format {FORMAT}")
        return StagedProgram(
            model=plain["model"],
            weights=plain["weights"],
            inputs=tuple(Port(**item) for item in plain["inputs"]),
            outputs=tuple(Port(**item) for item in plain["outputs"]),
            buffers=tuple(Buffer(**_tuples(item)) for item in plain["buffers"]),
            operators=tuple(map(_read_operator, plain["operators"])),
            stages=tuple(Stage(tuple(map(_read_step, item["steps"]))) for item in plain["stages"]),
        )
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        if isinstance(error, StagedProgramError):
            raise
        raise StagedProgramError(f"unexpected or missing entry: {error}") from error


def _entry(value: Any) -> str:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return json.dumps(value)
    lines = ",\n ".join(json.dumps(item, allow_nan=False) for item in value)
    return f"[\n {lines}\n]"


def _operator(operator: Operator) -> dict[str, Any]:
    plain = _changed(operator)
    plain["operand"] = _operand(operator.operand)
    if operator.epilogue:
        plain["epilogue"] = [_post(post) for post in operator.epilogue]
    if operator.attributes:
        plain["attributes"] = dict(operator.attributes)
    return plain


def _post(post: PostOperation) -> dict[str, Any]:
    plain = _changed(post)
    if post.constants:
        plain["constants"] = [number if math.isfinite(number) else str(number) for number in post.constants]
    if post.operand is not None:
        plain["operand"] = _operand(post.operand)
    return plain


def _operand(operand: Operand) -> dict[str, Any]:
    plain: dict[str, Any] = {"tensors": list(operand.tensors)}
    if operand.map is not None:
        plain["map"] = encode(operand.map, 4)
    return plain


def _changed(value: Any) -> dict[str, Any]:
    """The fields of a class that do not have their default value."""
    return {
        field.name: getattr(value, field.name)
        for field in attrs.fields(type(value))
        if field.default is attrs.NOTHING or getattr(value, field.name) != field.default
    }


def _step(step: Step) -> dict[str, Any]:
    return attrs.asdict(step)


def _read_operator(plain: Mapping[str, Any]) -> Operator:
    known = _tuples(plain)
    known["operand"] = _read_operand(plain["operand"])
    known["epilogue"] = tuple(map(_read_post, plain.get("epilogue", ())))
    known["attributes"] = tuple(plain.get("attributes", {}).items())
    return Operator(**known)


def _read_post(plain: Mapping[str, Any]) -> PostOperation:
    known = dict(plain)
    known["constants"] = tuple(float(number) for number in plain.get("constants", ()))
    if "operand" in plain:
        known["operand"] = _read_operand(plain["operand"])
    return PostOperation(**known)


def _read_operand(plain: Mapping[str, Any]) -> Operand:
    index_map = plain.get("map")
    return Operand(tuple(plain["tensors"]), None if index_map is None else decode(index_map))


def _read_step(plain: Mapping[str, Any]) -> Step:
    known = _tuples(plain)
    known["reads"] = tuple(Access(**_tuples(item)) for item in plain["reads"])
    known["writes"] = Access(**_tuples(plain["writes"]))
    return Step(**known)


def _tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with lists as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
