"""How far the analytic defaults are from the best decisions that a search finds, for workloads of the zoo.

    python -m benchmarks.decisions                              # thirty workloads, from all networks in turns
    python -m benchmarks.decisions --networks resnet50 --count 5
    python -m benchmarks.decisions --resume 6 --budget 30       # but those of the last six hours; begin no
                                                                # search after half an hour

Every network gives the workload that takes it longest, then every network its second, and so on; what was
given already is passed over. The defaults of all are timed first, which takes minutes. A search starts at the
default and measures `--trials` candidates; its best is confirmed as `shiftc tune` does, and counts as 1.00x
where it does not beat the default by more than the noise. Writes one JSON file and one Markdown table per
machine; results are on disk after every search.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tvm.target import Target

from benchmarks.command_line import add_resuming, as_json, plain_parser, results_path
from benchmarks.markdown import row, table_head, times
from benchmarks.results_file import Measurement, ResultsFile, hours_since, now
from schedules.tuning.measure import Measurer
from schedules.tuning.process import IsolatedProcess
from schedules.tuning.records import describe
from schedules.tuning.task import Task
from schedules.tuning.tune import Budget, Outcome, measured_defaults, tune
from schedules.workload import Workload
from shiftc import zoo
from shiftc.bench.machine import this_machine
from shiftc.driver import write_zoo
from shiftc.options import ModelOptions, ZooOptions
from shiftc.target import parse_target
from shiftc.tuning import tasks_of_model

KEY = ("kind", "workload", "threads")


def main(arguments: list[str] | None = None) -> int:
    """Runs the searches that the command line asks for."""
    parser = plain_parser(__doc__)
    parser.add_argument("--networks", nargs="+", default=list(zoo.names()), help="networks of the zoo (all)")
    parser.add_argument("--count", type=int, default=30, help="workloads (30)")
    parser.add_argument("--trials", type=int, default=96, help="candidates for each (96)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="host", help="host (default) or 'llvm -mcpu=haswell'")
    add_resuming(parser)
    chosen = parser.parse_args(arguments)

    target, machine = parse_target(chosen.target), this_machine()
    file = ResultsFile(results_path(chosen.results, machine, chosen.target, "decisions"), KEY)
    ends = None if chosen.budget is None else time.monotonic() + 60 * chosen.budget
    recent = chosen.resume or 0.0
    searched = {file.key(m) for m in file.read() if hours_since(m["time"]) < recent}
    tasks = {name: _tasks(name, chosen.target, chosen.threads) for name in chosen.networks}
    for network, task in select(longest_first(tasks, target), chosen.count):
        if ends is not None and time.monotonic() > ends:
            break
        if file.key(_identity(task)) in searched:
            continue
        (outcome,) = tune([[task]], target, Budget(chosen.trials), lambda *_: None, {}, chosen.seed)
        measurement = measurement_of(network, task, outcome)
        print(
            f"{network}: {measurement['kind']} {measurement['workload']}: {times(outcome.gain)}", flush=True
        )
        title = f"Decisions on {machine.processor}, target {chosen.target}"
        file.add(as_json(machine, chosen.target), [measurement], partial(table, title))
    return 0


def _tasks(network: str, target: str, threads: int) -> list[Task]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{network}.onnx"
        write_zoo(ZooOptions(network, path))
        return tasks_of_model(ModelOptions(path, target, threads=threads))


def longest_first(networks: Mapping[str, Sequence[Task]], target: Target) -> dict[str, list[Task]]:
    """The tasks of every network, in the order of what their defaults take it; each is timed once. Those
    whose default fails are left out."""
    with IsolatedProcess() as process:
        measurer = Measurer(target, process, Budget().candidate_seconds)
        starts, _ = measured_defaults(list(networks.values()), target, measurer)
    seconds = {start.task.workload: start.seconds for start in starts}

    def takes(task: Task) -> float:
        return task.calls * seconds[task.workload]

    return {
        name: sorted((task for task in tasks if task.workload in seconds), key=takes, reverse=True)
        for name, tasks in networks.items()
    }


def select(by_network: Mapping[str, Sequence[Task]], count: int) -> Iterator[tuple[str, Task]]:
    """Up to `count` workloads and whose they are, the longest of each network first; each workload once."""
    seen: set[Workload] = set()
    for rank in range(max(map(len, by_network.values()), default=0)):
        for network, tasks in by_network.items():
            if len(seen) == count:
                return
            if rank < len(tasks) and tasks[rank].workload not in seen:
                seen.add(tasks[rank].workload)
                yield network, tasks[rank]


def _identity(task: Task) -> Measurement:
    """The fields that tell one line of the results from another, see KEY."""
    return {
        "kind": type(task.workload).__name__,
        "workload": describe(task.workload),
        "threads": task.threads,
    }


def measurement_of(network: str, task: Task, outcome: Outcome) -> Measurement:
    """One line of the results; times in microseconds."""
    seconds = outcome.default_seconds
    return {
        **_identity(task),
        "network": network,
        "default_us": round(1e6 * seconds, 3),
        "best_us": round(1e6 * seconds / outcome.gain, 3),
        "gain": round(outcome.gain, 4),
        "trials": outcome.trials,
        "faults": list(outcome.faults),
        "default": dict(outcome.default),
        "best": dict(outcome.best or outcome.default),
        "failure": outcome.failure,
        "time": now(),
    }


def table(title: str, measurements: Sequence[Measurement]) -> str:
    """Markdown: the median and the worst, and every workload, the worst first."""
    measured = sorted((m for m in measurements if not m["failure"]), key=lambda m: -m["gain"])
    gains = [m["gain"] for m in measured]
    lines = [f"# {title}", ""]
    if gains:
        lines += [
            f"{len(gains)} workloads: the best decisions found are {median(gains):.3f}x as fast as the",
            f"defaults in the median, {max(gains):.3f}x at worst.",
            "",
        ]
    lines += table_head(("network", "workload", "default µs", "best µs", "gain", "trials", "other decisions"))
    return "\n".join([*lines, *(row(_cells(m)) for m in measured)]) + "\n"


def _cells(measurement: Mapping[str, Any]) -> tuple[str, ...]:
    default, best = measurement["default"], measurement["best"]
    changed = ", ".join(
        f"{name} {default[name]} → {best[name]}" for name in best if best[name] != default[name]
    )
    figures = (f"{measurement[name]:.2f}" for name in ("default_us", "best_us"))
    workload = f"{measurement['kind']}: {measurement['workload']}"
    gain, trials = f"{measurement['gain']:.3f}x", str(measurement["trials"])
    return measurement["network"], workload, *figures, gain, trials, changed


if __name__ == "__main__":
    sys.exit(main())
