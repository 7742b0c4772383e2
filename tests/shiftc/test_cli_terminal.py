"""What is printed: numbers as people read them, tables that fit."""

from __future__ import annotations

import pytest

from shiftc.cli.terminal import fitted
from shiftc.cli.units import duration, quantity


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.5, "1500.000 ms"), (1.23e-3, "1.230 ms"), (1.23e-5, "12.30 µs"), (0, "0.00 µs")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 "),
        (999, "999 "),
        (1500, "1.50 k"),
        (2.5e6, "2.50 M"),
        (4.089e9, "4.09 G"),
        (1.2e13, "12.00 T"),
    ],
)
def test_quantity(number: float, text: str) -> None:
    assert quantity(number) == text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_last_column_gives_way(width: int) -> None:
    rows = [("short", "x" * 200), ("n" * 200, "y")]
    first, second = fitted(("name", "text"), rows, width)
    assert first[0] == "short"
    assert first[1].endswith("…")
    assert second[0].endswith("…")
    assert second[1] == "y"
    longest = max(len(first[0]), len(second[0])) + max(len(first[1]), len(second[1]))
    assert longest + 7 == max(width, 32 + 32 + 7)


def test_an_empty_table() -> None:
    assert fitted(("a", "b"), [], 80) == []
