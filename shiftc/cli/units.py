"""Numbers as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.00123` → `1.230 ms`, `0.0000123` → `12.30 µs`."""
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} µs"


def quantity(number: float) -> str:
    """`1_400_000_000` → `1.40 G`."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.2f} {prefix}"
    return f"{number:g} "
