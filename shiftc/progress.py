"""How long work says where it is: a function that is called with what happens next."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Progress that nobody watches."""
