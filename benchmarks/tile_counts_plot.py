"""Time against numbers of tiles as an SVG file, a small panel for every block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results_file import Measurement

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shiftc",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_COLUMNS = 5
_PANEL = 2.3, 1.5
"""Inches."""
_PREDICTED = "predicted"


def draw(title: str, measurements: Sequence[Measurement], path: Path) -> None:
    """Writes the plot: measured medians as points, modelled times as a dashed line."""
    rows = -(-len(measurements) // _COLUMNS)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_COLUMNS * _PANEL[0], rows * _PANEL[1] + 0.6))
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes, measurement in zip(panels, measurements, strict=False):
            _panel(axes, measurement)
        for axes in panels[len(measurements) :]:
            axes.set_axis_off()
        figure.suptitle(title, x=0.01, ha="left")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper right", frameon=False)
        figure.supxlabel("tiles")
        figure.supylabel("µs")
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(axes: Axes, measurement: Measurement) -> None:
    modelled = measurement["modelled_us"]
    counts = sorted(modelled, key=int)
    at = [int(count) for count in counts]
    axes.plot(at, [measurement["us"][count] for count in counts], "o-", markersize=2.5, label="measured")
    axes.plot(at, [modelled[count] for count in counts], "--", color="0.4", label=_PREDICTED)
    axes.set(title=measurement["block"], xscale="log")
    axes.margins(y=0.3)
    powers = [2**i for i in range(at[-1].bit_length())]
    axes.set_xticks(powers, [str(power) for power in powers])
    axes.minorticks_off()
