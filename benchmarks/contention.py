"""Times every network of the zoo on two threads of a machine that is not idle, beside its peers.

    python -m benchmarks.contention                                  # one core busy, then back to back
    python -m benchmarks.contention --networks resnet50 --modes busy

"busy": another process computes on the last core. "back to back": the runtimes are called in turns without a
pause. Our own program of one thread takes its turns as well. Writes `<machine>-contention.json` and a table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from benchmarks.command_line import add_networks, add_rounds, as_json, plain_parser, results_path
from benchmarks.markdown import document, row
from benchmarks.network_table import faster_of_two, geometric_mean
from benchmarks.results_file import Measurement, ResultsFile, now
from shiftc import zoo
from shiftc.bench.compare import compare
from shiftc.bench.contestants import OURS, OURS_ALONE
from shiftc.bench.machine import this_machine
from shiftc.options import BenchOptions, ModelOptions

KEY = ("network", "mode")
MODES: Mapping[str, Mapping[str, Any]] = {"busy": {"busy": 1}, "back to back": {"back_to_back": True}}
PEERS = ("onnxruntime", "openvino")
_THREADS, _ROUNDS = 2, 15


def main(arguments: list[str] | None = None) -> int:
    """Times the networks that the command line asks for."""
    parser = plain_parser(__doc__)
    add_networks(parser)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    add_rounds(parser, _ROUNDS)
    chosen = parser.parse_args(arguments)
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "contention"), KEY)
    title = f"Networks on busy cores: {machine.processor}, {machine.cores} cores"
    for name in chosen.networks:
        for mode in chosen.modes:
            found = {"network": name, "mode": mode, **measure(name, mode, chosen.rounds), "time": now()}
            file.add(as_json(machine, "host"), [found], partial(table, title))
            print(name, mode, json.dumps(found), flush=True)
    return 0


def measure(network: str, mode: str, rounds: int) -> Measurement:
    """The network on two threads beside its peers, as `shiftc bench` says it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{network}.onnx"
        onnx.save(zoo.build(network, 1), str(path))
        options = BenchOptions(ModelOptions(path), PEERS, (_THREADS,), rounds, **MODES[mode])
        (comparison,) = compare(options).comparisons
    return comparison.as_json()


_COLUMNS = (
    "network",
    "mode",
    "shiftc ms",
    "90 %",
    "1 thread",
    "90 %",
    *(column for peer in PEERS for column in (peer, "90 %")),
    "over 1 thread",
    "faster peer over it",
)


def table(title: str, measurements: Sequence[Measurement]) -> str:
    """Markdown: one row a network and mode, a mean of each mode behind."""
    text = [
        "Two threads, batch 1, milliseconds: the median of all calls, and what nine of ten do not exceed.",
        "busy: another process computes on the last core. back to back: runtimes in turns, without a pause.",
        "Over 1 thread: shiftc's median on two threads over that of its program of one thread.",
        *_means(measurements),
    ]
    return document(title, text, _COLUMNS, map(_row, measurements))


def _means(measurements: Iterable[Measurement]) -> list[str]:
    """Geometric means of how many times as fast as the faster peer, for each mode."""
    of_mode: dict[str, list[float]] = {}
    for m in measurements:
        if (ratio := faster_of_two(m["ratios"])) is not None:
            of_mode.setdefault(m["mode"], []).append(ratio)
    return [
        f"Geometric mean of the faster peer's time over shiftc's, {mode}: {geometric_mean(ratios):.2f}."
        for mode, ratios in of_mode.items()
    ]


def _row(m: Measurement) -> str:
    cells = []
    for name in (OURS, OURS_ALONE, *PEERS):
        runtime = m["runtimes"][name]
        keys = ("median_ms", "p90_ms")
        cells += ["failed", ""] if runtime["failure"] else [f"{runtime[key]:.3f}" for key in keys]
    over_alone, faster = 1 / m["ratios"][OURS_ALONE], faster_of_two(m["ratios"])
    compared = [f"{over_alone:.2f}", "" if faster is None else f"{faster:.2f}"]
    return row([m["network"], m["mode"], *cells, *compared])


if __name__ == "__main__":
    sys.exit(main())
