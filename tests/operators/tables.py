"""Tables of cases: a part of each in every run, the rest where there is time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from .joined import Array, Case, run_joined

Family = Callable[[], Iterable[Case]]


def part_of(families: Iterable[tuple[Family, int]]) -> dict[str, Case]:
    """By name, every n-th case of each family."""
    return {case.name: case for family, step in families for case in list(family())[::step]}


def rest_of(families: Iterable[tuple[Family, int]]) -> dict[str, Case]:
    """The cases that `part_of` leaves out."""
    cases = {case.name: case for family, _ in families for case in family()}
    part = part_of(families)
    return {name: case for name, case in cases.items() if name not in part}


def outputs_of(cases: Iterable[Case], folder: Path) -> dict[str, list[Array]]:
    """The outputs of all cases by name, compiled together as far as they share an operator set."""
    results: dict[str, list[Array]] = {}
    cases = list(cases)
    for opset in {case.opset for case in cases}:
        chosen = [case for case in cases if case.opset == opset]
        place = folder / f"opset{opset}"
        place.mkdir()
        results.update(zip((case.name for case in chosen), run_joined(chosen, place), strict=True))
    return results
