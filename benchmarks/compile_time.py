"""How long networks take to compile, and how much memory: from nothing, and with every kernel in the cache.

    python -m benchmarks.compile_time                            # every network of the zoo
    python -m benchmarks.compile_time --networks resnet50 --threads 2

Every compilation is a process of its own, `python -m shiftc compile`, and counts from its start to its end.
Writes `<machine>-compile-time.json` and a Markdown table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.command_line import add_networks, as_json, plain_parser, results_path
from benchmarks.markdown import document, row
from benchmarks.results_file import Measurement, ResultsFile, now
from shiftc.artifact import read_manifest
from shiftc.bench.machine import this_machine
from shiftc.driver import write_zoo
from shiftc.kernel_cache import ENVIRONMENT
from shiftc.options import ZooOptions

KEY = ("network", "threads")


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the command line asks for."""
    parser = plain_parser(__doc__)
    add_networks(parser)
    parser.add_argument("--threads", type=int, default=1, help="of the programs (1)")
    chosen = parser.parse_args(arguments)
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "compile-time"), KEY)
    for name in chosen.networks:
        found = {**measure(name, chosen.threads), "time": now()}
        file.add(as_json(machine, "host"), [found], partial(table, f"Compiling on {machine.processor}"))
        print(name, json.dumps(found), flush=True)
    return 0


def measure(name: str, threads: int) -> Measurement:
    """Seconds with an empty cache and with a filled one; bytes resident at most, with the empty one."""
    with tempfile.TemporaryDirectory() as folder:
        model, artifact = Path(folder) / f"{name}.onnx", Path(folder) / name
        write_zoo(ZooOptions(name, model))
        command = [sys.executable, "-m", "shiftc", "compile", str(model), "-o", str(artifact)]
        command += ["--threads", str(threads)]
        cold, resident = _run(command, Path(folder) / "kernels")
        warm, _ = _run(command, Path(folder) / "kernels")
        steps = read_manifest(artifact).kernels
    return {
        "network": name,
        "threads": threads,
        "kernels": len({step.name for step in steps}),
        "steps": len(steps),
        "cold_s": round(cold, 2),
        "warm_s": round(warm, 2),
        "peak_bytes": resident,
    }


def _run(command: list[str], cache: Path) -> tuple[float, int]:
    """Seconds that a process took, and the bytes it had resident at most."""
    environment = {**os.environ, ENVIRONMENT: str(cache)}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # what only wait4 tells, Popen has not seen
    seconds = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, 1024 * usage.ru_maxrss


_COLUMNS = ("network", "threads", "kernels", "steps", "empty cache s", "filled cache s", "peak MB")


def table(title: str, measurements: Iterable[Measurement]) -> str:
    """Markdown: one row a measurement, the longest first."""
    text = [
        "Seconds that `shiftc compile` takes from the start of its process to the end, with an empty cache",
        "of kernels and with all of them in it; megabytes resident at most with the empty one. Steps that",
        "compute the same share a kernel.",
    ]
    return document(title, text, _COLUMNS, map(_row, sorted(measurements, key=lambda m: -m["cold_s"])))


def _row(m: Measurement) -> str:
    seconds = (f"{m[name]:.1f}" for name in ("cold_s", "warm_s"))
    counts = (f"{m[name]}" for name in ("threads", "kernels", "steps"))
    return row([m["network"], *counts, *seconds, f"{m['peak_bytes'] / 1e6:.0f}"])


if __name__ == "__main__":
    sys.exit(main())
