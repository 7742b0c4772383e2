"""Numbers as people read them."""

from __future__ import annotations


def milliseconds(seconds: float) -> str:
    """`0.00123` → `1.230 ms`."""
    return f"{seconds * 1e3:.3f} ms"


def quantity(number: float) -> str:
    """`1_400_000_000` → `1.40 G`."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.2f} {prefix}"
    return f"{number:g} "
