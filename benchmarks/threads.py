"""What several threads gain: every network compiled for one and for more, both in one process.

    python -m benchmarks.threads                                  # every network of the zoo at batch 1
    python -m benchmarks.threads --networks resnet50 --batches 1 8
    python -m benchmarks.threads --artifacts DIR --compile-only   # now compile, measure when it is quiet

Both programs take turns in warm bursts, as runtimes do in `shiftc bench`. The calling thread stays on the
last core; workers are bound to those before it. Nothing else may run meanwhile: a task that has lost its
core is waited for at every step. A loop of bare barriers takes its turns among the programs: under a
hypervisor that moves its cores, what tasks pay to meet, and to read what another wrote, can be several times
as much the next minute. Writes `<machine>-threads.json` and a Markdown table.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.command_line import add_artifacts, artifacts_folder, as_json, parser_of_networks, results_path
from benchmarks.markdown import DISTURBED_LEGEND, document, named, row, times
from benchmarks.results_file import Measurement, ResultsFile, now
from benchmarks.variants import runnable
from schedules.meeting import meetings
from shiftc.artifact import read_manifest
from shiftc.bench.compare import PAUSE_SECONDS
from shiftc.bench.lookout import lookout
from shiftc.bench.machine import this_machine
from shiftc.bench.pinning import on_threads
from shiftc.bench.turns import time_in_turns
from shiftc.driver import compile_model, write_zoo
from shiftc.options import CompileOptions, ModelOptions, ZooOptions
from shiftc.runtime import load
from shiftc.target import parse_target

KEY = ("network", "batch", "threads")

_ALONE, _TOGETHER, _MEETINGS = "alone", "together", "meetings"


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the command line asks for."""
    parser = parser_of_networks(__doc__, rounds=11)
    parser.add_argument("--threads", type=int, default=2, help="beside one (2)")
    add_artifacts(parser)
    chosen = parser.parse_args(arguments)
    if chosen.threads > len(os.sched_getaffinity(0)):
        parser.error(f"--threads {chosen.threads}: this process may use fewer cores")
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "threads"), KEY)
    with artifacts_folder(parser, chosen) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        for name, batch in ((name, batch) for batch in chosen.batches for name in chosen.networks):
            alone, together = (compiled(name, batch, threads, folder) for threads in (1, chosen.threads))
            if chosen.compile_only:
                continue
            measurement = measure(alone, together, chosen.threads, chosen.rounds)
            found = [{"network": name, "batch": batch, **measurement}]
            file.add(as_json(machine, "host"), found, partial(table, f"Threads on {machine.processor}"))
            print(f"{name}, batch {batch}: {times(measurement['gain'])}", flush=True)
    return 0


def compiled(name: str, batch: int, threads: int, folder: Path) -> Path:
    """The artifact of a network for so many threads; compiled unless the folder has it."""
    artifact = folder / f"{name}-batch{batch}-threads{threads}"
    if not artifact.exists():
        with tempfile.TemporaryDirectory() as models:
            model = Path(models) / f"{name}.onnx"
            write_zoo(ZooOptions(name, model, batch))
            compile_model(CompileOptions(ModelOptions(model, threads=threads), artifact))
    return artifact


def measure(alone: Path, together: Path, threads: int, rounds: int) -> Measurement:
    """Milliseconds of a program of one thread and of one compiled for several; how much faster this is.

    used:    the threads it has: one, where more are modelled not to pay.
    meeting: nanoseconds of a barrier of as many tasks as were asked for.
    """
    free = os.sched_getaffinity(0)
    cores = sorted(free, reverse=True)
    used = read_manifest(together).threads
    sessions = {_ALONE: load(alone, cores[:1]), _TOGETHER: load(together, cores[:used])}
    barriers = meetings(parse_target("host"), threads)
    affinity = tuple(cores[:threads])
    runnables = {name: runnable(session) for name, session in sessions.items()}
    runnables[_MEETINGS] = on_threads(threads, barriers.run, affinity)
    try:
        measured = time_in_turns(runnables, rounds, lookout(threads, affinity), PAUSE_SECONDS)
    finally:
        os.sched_setaffinity(0, free)
    turns = measured.seconds
    one, several = turns[_ALONE], turns[_TOGETHER]
    return {
        "threads": threads,
        "used": used,
        **{f"{name}_ms": round(1e3 * median(turns[name]), 4) for name in sessions},
        **{f"{name}_min_ms": round(1e3 * min(turns[name]), 4) for name in sessions},
        "gain": round(median(one) / median(several), 3),
        "gain_of_minima": round(min(one) / min(several), 3),
        "meeting_ns": round(1e9 * median(turns[_MEETINGS]) / barriers.count),
        "disturbed": measured.disturbed,
        "time": now(),
    }


_COLUMNS = ("network", "batch", "threads", "one ms", "several ms", "gain", "of minima", "meeting ns")


def table(title: str, measurements: Iterable[Measurement]) -> str:
    """Markdown: one row a measurement, the longest networks first."""
    text = [
        "Milliseconds of a program of one thread and of one compiled for several, in turns in one process:",
        "medians, and the ratios of medians and of minima. A program that is modelled to gain too little has",
        "one thread all the same. The last column is what tasks took to meet at a barrier in the same turns.",
        DISTURBED_LEGEND,
    ]
    longest_first = sorted(measurements, key=lambda m: -m["alone_ms"])
    return document(title, text, _COLUMNS, map(_row, longest_first))


def _row(m: Measurement) -> str:
    threads = f"{m['threads']}" if m["used"] == m["threads"] else f"{m['threads']} → {m['used']}"
    figures = (f"{m[name]:.3f}" for name in ("alone_ms", "together_ms"))
    gains = (times(m[name]) for name in ("gain", "gain_of_minima"))
    return row([named(m), f"{m['batch']}", threads, *figures, *gains, f"{m['meeting_ns']}"])


if __name__ == "__main__":
    sys.exit(main())
