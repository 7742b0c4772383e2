"""A roofline as an SVG file that is small and the same for the same data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmarks.roofline_data import Point, Roofs

_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "shiftc", "font.size": 9, "axes.spines.top": False}
_LARGEST_POINT = 400.0
_SMALLEST_POINT = 6.0
"""Areas, in square points."""


def draw(title: str, points: Sequence[Point], roofs: Roofs, path: Path) -> None:
    """Writes the plot; a point's area is its share of the time, with a least one that can be seen."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 5))
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel="FLOP per byte", ylabel="GFLOP/s", title=title)
        for kind in sorted({point.kind for point in points}):
            of_kind = [point for point in points if point.kind == kind]
            axes.scatter(
                [point.intensity for point in of_kind],
                [point.speed / 1e9 for point in of_kind],
                s=[max(_SMALLEST_POINT, _LARGEST_POINT * point.share) for point in of_kind],
                alpha=0.6,
                linewidths=0,
                label=f"{kind}, {sum(point.share for point in of_kind):.0%} of the time",
            )
        left, right = _range([point.intensity for point in points], roofs)
        for level, bandwidth in roofs.bandwidths.items():
            ends = (left, min(right, _ridge(roofs, level)), right)
            axes.plot(ends, [roofs.at(x, level) / 1e9 for x in ends], "-", color="0.4", linewidth=0.8)
            axes.text(
                left,
                roofs.at(left, level) / 1e9,
                f" {level}, {bandwidth / 1e9:.0f} GB/s",
                color="0.4",
                va="bottom" if bandwidth == max(roofs.bandwidths.values()) else "top",
                rotation=45,
                rotation_mode="anchor",
                transform_rotates_text=True,
            )
        peak = f"{roofs.peak / 1e9:.0f} GFLOP/s measured"
        axes.text(right, roofs.peak / 1e9, peak, color="0.4", ha="right", va="bottom")
        axes.legend(loc="lower right", frameon=False)
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})


def _ridge(roofs: Roofs, level: str) -> float:
    """The intensity at which arithmetic becomes the limit."""
    return roofs.peak / roofs.bandwidths[level]


def _range(intensities: Sequence[float], roofs: Roofs) -> tuple[float, float]:
    """Intensities to show: all points and all ridges."""
    shown = [*intensities, *(_ridge(roofs, level) for level in roofs.bandwidths)]
    return min(shown) / 2, max(shown) * 2
