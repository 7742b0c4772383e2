"""Measurements of networks as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.markdown import percent, row, table_head, times
from benchmarks.results_file import Measurement
from shiftc.bench.contestants import OURS

PEERS = ("onnxruntime", "openvino", "tvm")
RIVALS = ("onnxruntime", "openvino")
"""The peers whose faster one counts."""

_HEAD = ("network", "shiftc", "min", "of floor", "by min", "arena, KiB", *PEERS, "faster of two", "by minima")


def table(title: str, names: Sequence[str], measurements: Iterable[Measurement]) -> str:
    """A table for every batch, thread count and kind of 3 × 3 convolution; networks in the order of
    `names`."""
    rank = {name: index for index, name in enumerate(names)}
    groups: dict[tuple[int, int, bool], list[Measurement]] = {}
    for m in sorted(measurements, key=lambda m: rank.get(m["network"], len(rank))):
        groups.setdefault((m["batch"], m["threads"], m["winograd"]), []).append(m)
    lines = [f"# {title}", "", _LEGEND]
    for (batch, threads, winograd), group in sorted(groups.items(), key=lambda item: _order(item[0])):
        lines += ["", f"## Batch {batch}, {_threads(threads)}{'' if winograd else ', no Winograd'}", ""]
        lines += [*table_head(_HEAD), *map(_network, group), _means(group)]
        lines += _wider(group)
    return "\n".join([*lines, "", *_versions(measurements)]) + "\n"


_LEGEND = """\
Milliseconds per call, float32: medians over turns, each a burst of warm calls, all runtimes in turns in one
process. Ratios say how many times faster shiftc is, by medians; "faster of two" is the ratio to the faster of
onnxruntime and OpenVINO, by medians and by minima. "Of floor" compares with the network's multiply-adds at
the FMA peak measured in the same turns; Winograd's form of 3x3 convolutions needs fewer and can exceed 100 %.
Plain TVM gets few calls. The arena is the workspace, in brackets how many times the least possible. Where
medians and minima differ much, a neighbour was on the machine."""


def faster_of_two(ratios: Mapping[str, float]) -> float | None:
    """Ratio to the faster of the rivals; None where none of them ran."""
    return min((ratios[name] for name in RIVALS if name in ratios), default=None)


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean logarithm; NaN of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def _order(group: tuple[int, int, bool]) -> tuple[int, int, bool]:
    batch, threads, winograd = group
    return batch, threads, not winograd


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _network(m: Measurement) -> str:
    runtimes = m["runtimes"]
    ours = runtimes[OURS]
    cells = [m["network"], f"{ours['median_ms']:.3f}", f"{ours['min_ms']:.3f}", percent(m["of_floor"])]
    cells += [percent(m["of_floor_min"]), _arena(m)]
    cells += [_peer(runtimes.get(name, {}), m["ratios"].get(name)) for name in PEERS]
    return row([*cells, *(times(faster_of_two(m[key])) for key in ("ratios", "ratios_of_minima"))])


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


def _means(group: Sequence[Measurement]) -> str:
    """The last row: geometric means of the ratios."""
    means = []
    for key in ("ratios", "ratios_of_minima"):
        found = [ratio for m in group if (ratio := faster_of_two(m[key])) is not None]
        means.append(times(geometric_mean(found) if found else None))
    return row(["geometric mean", *[""] * (len(_HEAD) - 3), *means])


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
