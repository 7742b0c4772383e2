"""Conversions and copies of every type, compiled together and compared one by one."""

from __future__ import annotations

import pytest

from . import conversion_cases as cases
from . import narrow_cases
from .joined import Array, difference
from .tables import outputs_of, part_of, rest_of

FAMILIES = (
    (cases.cast_cases, 9),
    (cases.special_cast_cases, 1),
    (cases.copy_cases, 5),
    (narrow_cases.cast_cases, 3),
    (narrow_cases.quantization_cases, 5),
    (narrow_cases.moving_cases, 5),
)
PART, REST = part_of(FAMILIES), rest_of(FAMILIES)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Array]]:
    return outputs_of(PART.values(), tmp_path_factory.mktemp("conversions"))


@pytest.mark.parametrize("name", PART)
def test_as_onnx_says(name: str, found: dict[str, list[Array]]) -> None:
    assert difference(PART[name], found[name]) is None


@pytest.mark.slow
def test_the_rest_of_the_table(tmp_path_factory: pytest.TempPathFactory) -> None:
    found = outputs_of(REST.values(), tmp_path_factory.mktemp("conversions"))
    wrong = {name: difference(case, found[name]) for name, case in REST.items()}
    assert not {name: what for name, what in wrong.items() if what}
