"""Cells and rows of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def row(cells: Iterable[str]) -> str:
    """One row."""
    return f"| {' | '.join(cells)} |"


def table_head(names: Sequence[str]) -> list[str]:
    """The first two rows."""
    return [row(names), "|---" * len(names) + "|"]


def document(title: str, text: Sequence[str], columns: Sequence[str], rows: Iterable[str]) -> str:
    """A heading, what there is to say, and one table."""
    return "\n".join([f"# {title}", "", *text, "", *table_head(columns), *rows]) + "\n"


DISTURBED = "~"
"""Marks what was measured while something else was on the machine."""

DISTURBED_LEGEND = f"{DISTURBED}: hardly a turn was calm, the calmest count."


def marked(text: str, measurement: Mapping[str, Any]) -> str:
    """A cell, marked where the measurement was disturbed."""
    return text + DISTURBED if measurement.get("disturbed") else text


def named(measurement: Mapping[str, Any]) -> str:
    """The network, marked where its measurement was disturbed."""
    return marked(measurement["network"], measurement)


def times(ratio: float | None) -> str:
    """A ratio; empty where it is unknown."""
    return "" if ratio is None else f"{ratio:.2f}x"


def percent(share: float | None) -> str:
    """A share; empty where it is unknown."""
    return "" if share is None else f"{share:.0%}"
