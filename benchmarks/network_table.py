"""Measurements of networks as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.markdown import DISTURBED_LEGEND, named, percent, row, table_head, times
from benchmarks.networks import EXPORTED
from benchmarks.results_file import Measurement
from shiftc.bench.contestants import OURS

PEERS = ("onnxruntime", "openvino", "tvm")
RIVALS = ("onnxruntime", "openvino")
"""The peers whose faster one counts."""

_HEAD = ("network", "shiftc", "min", "of floor", "by min", "arena, KiB", *PEERS, "faster of two", "by minima")
_RATIOS = ("ratios", "ratios_of_minima")
_SCALING = "of 1 thread"


def table(title: str, names: Sequence[str], measurements: Sequence[Measurement]) -> str:
    """A table for every batch, thread count and way to sum products; networks ordered as `names`."""
    rank = {name: index for index, name in enumerate(names)}
    alone = {_model(m): m for m in measurements if m["threads"] == 1}
    groups: dict[tuple[int, int, bool], list[Measurement]] = {}
    for m in sorted(measurements, key=lambda m: rank.get(m["network"], len(rank))):
        groups.setdefault((m["batch"], m["threads"], m["direct"]), []).append(m)
    lines = [f"# {title}", "", _LEGEND, DISTURBED_LEGEND]
    for (batch, threads, direct), group in sorted(groups.items()):
        lines += ["", f"## Batch {batch}, {_threads(threads)}{', direct' if direct else ''}", ""]
        lines += table_head(_HEAD if threads == 1 else (*_HEAD, _SCALING))
        lines += [row(_network(m) + _scaling(m, alone)) for m in group]
        lines += [*_means(group), *_wider(group)]
    return "\n".join([*lines, "", *_versions(measurements)]) + "\n"


_LEGEND = """\
Milliseconds per call, float32: medians over turns, each a burst of warm calls, all runtimes in turns in one
process. Ratios say how many times faster shiftc is, by medians; "faster of two" is the ratio to the faster of
onnxruntime and OpenVINO, by medians and by minima. "Of floor" compares with the network's multiply-adds at
the FMA peak measured in the same turns; Winograd's form of 3x3 convolutions and paired products need fewer
and can exceed 100 %. "Direct" are entries without either. Plain TVM gets few calls. The arena is the
workspace, in brackets how many times the least possible. Turns do not count in which cores were found
shared, or far from each other."""


def faster_of_two(ratios: Mapping[str, float]) -> float | None:
    """Ratio to the faster of the rivals; None where none of them ran."""
    return min((ratios[name] for name in RIVALS if name in ratios), default=None)


def geometric_mean(values: Iterable[float]) -> float | None:
    """exp of the mean logarithm; None of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _model(m: Measurement) -> tuple[str, int, bool]:
    return m["network"], m["batch"], m["direct"]


def _scaling(m: Measurement, alone: Mapping[tuple[str, int, bool], Measurement]) -> list[str]:
    """How many times faster than ours on one thread."""
    if m["threads"] == 1:
        return []
    single = alone.get(_model(m))
    if single is None:
        return [""]
    return [times(single["runtimes"][OURS]["median_ms"] / m["runtimes"][OURS]["median_ms"])]


def _network(m: Measurement) -> list[str]:
    runtimes = m["runtimes"]
    ours = runtimes[OURS]
    cells = [named(m), f"{ours['median_ms']:.3f}", f"{ours['min_ms']:.3f}", percent(m["of_floor"])]
    cells += [percent(m["of_floor_min"]), _arena(m)]
    cells += [_peer(runtimes.get(name, {}), m["ratios"].get(name)) for name in PEERS]
    return [*cells, *(times(faster_of_two(m[key])) for key in _RATIOS)]


def _arena(m: Measurement) -> str:
    """KiB, and how many times the lower bound that is, where it is known."""
    size, bound = m.get("arena_bytes"), m.get("arena_lower_bound_bytes")
    if size is None:
        return ""
    return f"{size / 1024:.0f}" + (f" ({size / bound:.2f}x)" if bound else "")


def _peer(runtime: Mapping[str, Any], ratio: float | None) -> str:
    if ratio is None:
        return "failed" if runtime.get("failure") else ""
    return f"{runtime['median_ms']:.3f} ({times(ratio)})"


def _means(group: Sequence[Measurement]) -> list[str]:
    """The last rows: geometric means of the ratios, over the zoo and over what exporters wrote."""
    rows = []
    for exported, what in ((False, "the zoo"), (True, "exported models")):
        part = [m for m in group if m["network"].startswith(EXPORTED) is exported]
        means = [geometric_mean(_known(faster_of_two(m[key]) for m in part)) for key in _RATIOS]
        if part:
            rows.append(row([f"geometric mean, {what}", *[""] * (len(_HEAD) - 3), *map(times, means)]))
    return rows


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _wider(group: Sequence[Measurement]) -> list[str]:
    wider = {name for m in group for name, run in m["runtimes"].items() if run.get("wider_instructions")}
    if not wider:
        return []
    return ["", f"With wider instructions than the target has: {', '.join(sorted(wider))}."]


def _versions(measurements: Iterable[Measurement]) -> list[str]:
    """One line: every runtime with the versions that were measured."""
    versions: dict[str, set[str]] = {}
    for m in measurements:
        for name, run in m["runtimes"].items():
            versions.setdefault(name, set()).add(run["version"])
    return [", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in sorted(versions.items()))]
