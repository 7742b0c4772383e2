"""Measurements of single convolutions as Markdown, with what they say together."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.convolutions import DEPTHWISE, KINDS, SHIFTED
from benchmarks.markdown import DISTURBED_LEGEND, marked, percent, row, table_head, times
from benchmarks.network_table import RIVALS, faster_of_two, geometric_mean
from benchmarks.results_file import Measurement
from shiftc.bench.contestants import OURS

_HEAD = ("channels", "plane", "groups", "us", "GFLOP/s", "of peak", "by min", "in L2", *RIVALS)
_BESIDE_PLAIN = {"times_of_plain": "of plain", "times_of_plain_min": "by min"}

_MANY_CHANNELS = 64


def table(title: str, measurements: Sequence[Measurement]) -> str:
    """What the sweep says together, and a table for every kind of convolution."""
    lines = [f"# {title}", "", _LEGEND, DISTURBED_LEGEND]
    for direct in (False, True):
        those = [m for m in measurements if m["direct"] is direct]
        for kind in KINDS:
            group = sorted(
                (m for m in those if m["kind"] == kind), key=lambda m: (-m["plane"], m["channels"])
            )
            if group:
                heading = f"## {kind}" + (", direct" if direct else "")
                head = (*_HEAD, *_BESIDE_PLAIN.values()) if kind == SHIFTED else _HEAD
                lines += ["", heading, "", *table_head(head), *map(_convolution, group)]
                lines += ["", *(f"- {line}" for line in summary(kind, group))]
    return "\n".join(lines) + "\n"


_LEGEND = """\
One thread, float32, batch 1: microseconds of one convolution and its ReLU inside a chain, a long chain less a
short one, for all runtimes alike. "Of peak" compares its multiply-adds with the FMA peak measured in the same
turns; Winograd's form of 3x3 convolutions and paired products need fewer and can exceed 100 %. "Direct" are
entries without either. "In L2" says whether the weights and activations of the whole chain fit. Peers:
microseconds, and how many times faster shiftc is; a star where the peer uses wider instructions than the
target has. "Of plain" is the time of a shifted convolution beside the plain one of its shape, in the same
turns."""


def summary(kind: str, group: Sequence[Measurement]) -> list[str]:
    """Sentences about the measurements of one kind."""
    lines = []
    ratios = _known(faster_of_two(m["ratios"]) for m in group)
    if ratios:
        lines.append(
            f"Faster of two: geometric mean {times(geometric_mean(ratios))}, least {times(min(ratios))}."
        )
    if kind == SHIFTED:
        lines += _beside_plain(group)
    cached = [m for m in group if m["in_l2"] and m["channels"] >= _MANY_CHANNELS]
    shares = _known(m["of_peak"] for m in cached)
    if shares and kind != DEPTHWISE:
        least = min(_known(m["of_peak_min"] for m in cached), default=None)
        lines.append(
            f"At least {_MANY_CHANNELS} channels, in L2: median {statistics.median(shares):.0%} of peak, "
            f"least {min(shares):.0%}; by minima least {percent(least)}."
        )
    return lines


def _beside_plain(group: Sequence[Measurement]) -> list[str]:
    lines = []
    for key, what in (("times_of_plain", "medians"), ("times_of_plain_min", "minima")):
        found = _known(m.get(key) for m in group)
        if found:
            median, worst = statistics.median(found), max(found)
            lines.append(
                f"Beside the plain ones, by {what}: median {median:.3f}x the time, worst {worst:.3f}x."
            )
    return lines


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _convolution(m: Measurement) -> str:
    ours = m["times"][OURS]
    microseconds = marked(f"{ours['us']:.1f}", m)
    cells = [str(m["channels"]), str(m["plane"]), str(m["groups"]), microseconds, _gflops(ours)]
    cells += [percent(m["of_peak"]), percent(m["of_peak_min"]), "yes" if m["in_l2"] else ""]
    cells += [_peer(m, name) for name in RIVALS]
    if m["kind"] == SHIFTED:
        cells += [_three_digits(m.get(key)) for key in _BESIDE_PLAIN]
    return row(cells)


def _gflops(time: dict[str, Any]) -> str:
    return "" if time["gflops"] is None else f"{time['gflops']:.1f}"


def _peer(m: Measurement, name: str) -> str:
    if name not in m["times"]:
        return "failed" if name in m["failures"] else ""
    wider = "*" if name in m["wider_instructions"] else ""
    return f"{m['times'][name]['us']:.1f} ({times(m['ratios'].get(name))}){wider}"


def _three_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}x"
