"""Cells and rows of Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def row(cells: Iterable[str]) -> str:
    """One row."""
    return f"| {' | '.join(cells)} |"


def table_head(names: Sequence[str]) -> list[str]:
    """The first two rows."""
    return [row(names), "|---" * len(names) + "|"]


def document(title: str, text: Sequence[str], columns: Sequence[str], rows: Iterable[str]) -> str:
    """A heading, what there is to say, and one table."""
    return "\n".join([f"# {title}", "", *text, "", *table_head(columns), *rows]) + "\n"


def times(ratio: float | None) -> str:
    """A ratio; empty where it is unknown."""
    return "" if ratio is None else f"{ratio:.2f}x"


def percent(share: float | None) -> str:
    """A share; empty where it is unknown."""
    return "" if share is None else f"{share:.0%}"
