"""Memory for intermediate tensors: shiftc's workspace beside what onnxruntime takes.

    python -m benchmarks.memory                          # every network of the zoo
    python -m benchmarks.memory --networks resnet50

shiftc's workspace is part of the artifact; beside it stands the most bytes of tensors alive at once, which
no placement goes below. onnxruntime (one thread, batch 1) is measured in a process of its own, as the growth
of its peak resident memory while it runs: over its first runs as it comes, with the memory it keeps
(`held`), and over a later run with its arena and its planning ahead switched off, when tensors are freed as
soon as nobody reads them (`live`). The allocator gives large blocks back at once, so that residence follows
use.

Writes `<machine>-memory.json` and a Markdown table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.command_line import add_networks, as_json, plain_parser, results_path
from benchmarks.markdown import row, table_head, times
from benchmarks.results_file import ResultsFile
from shiftc.bench.machine import this_machine
from shiftc.build import build_program
from shiftc.driver import write_zoo
from shiftc.options import ModelOptions, ZooOptions

_PROMPT_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "16384",
    "MALLOC_MMAP_MAX_": "1000000",
    "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_TOP_PAD_": "0",
}
"""glibc: blocks above 16 KiB are pages of their own, which freeing gives back."""

_RUN_ONNXRUNTIME = """
import ctypes, sys
from pathlib import Path
import numpy as np, onnxruntime

def resident(name):
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in status if line.startswith(name)).split()[1])

path, keeps, runs_before, runs = sys.argv[1], *map(int, sys.argv[2:])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.enable_cpu_mem_arena = options.enable_mem_pattern = bool(keeps)
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
random = np.random.default_rng(0)
inputs = {i.name: random.standard_normal(i.shape).astype(np.float32) for i in session.get_inputs()}
for _ in range(runs_before):
    session.run(None, inputs)
ctypes.CDLL(None).malloc_trim(0)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = resident("VmRSS")
for _ in range(runs):
    session.run(None, inputs)
print(resident("VmHWM") - before)
"""


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the command line asks for."""
    parser = plain_parser(__doc__)
    add_networks(parser)
    chosen = parser.parse_args(arguments)
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "memory"), ("network",))
    for name in chosen.networks:
        found = measure(name)
        title = f"Memory of intermediate tensors on {machine.processor}"
        file.add(as_json(machine, "host"), [found], partial(table, title))
        print(name, json.dumps(found), flush=True)
    return 0


def measure(name: str) -> dict[str, Any]:
    """Bytes of one network at batch 1."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        write_zoo(ZooOptions(name, path))
        manifest = build_program(ModelOptions(path)).manifest
        return {
            "network": name,
            "arena_bytes": manifest.arena_bytes,
            "arena_lower_bound_bytes": manifest.arena_lower_bound_bytes,
            "onnxruntime_held_bytes": _onnxruntime(path, keeps=True, runs_before=0, runs=3),
            "onnxruntime_live_bytes": _onnxruntime(path, keeps=False, runs_before=2, runs=1),
        }


def _onnxruntime(path: Path, *, keeps: bool, runs_before: int, runs: int) -> int:
    """Growth of a process' peak resident memory over some runs of a session, after some others."""
    arguments = [str(path), str(int(keeps)), str(runs_before), str(runs)]
    done = subprocess.run(
        [sys.executable, "-c", _RUN_ONNXRUNTIME, *arguments],
        env={**os.environ, **_PROMPT_ALLOCATOR},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def table(title: str, measurements: Iterable[Mapping[str, Any]]) -> str:
    """Megabytes by network; ratios say how many times more onnxruntime takes."""
    columns = ("network", "shiftc", "alive at once", "onnxruntime, held", "ratio", "live", "ratio")
    lines = [
        f"# {title}",
        "",
        "Megabytes at batch 1, one thread: shiftc's workspace, the most bytes of its tensors alive at once,",
        "and the growth of onnxruntime's peak resident memory: with what it keeps between runs, and without.",
        "",
        *table_head(columns),
    ]
    for m in measurements:
        size, held, live = m["arena_bytes"], m["onnxruntime_held_bytes"], m["onnxruntime_live_bytes"]
        sizes = [f"{1e-6 * b:.2f}" for b in (size, m["arena_lower_bound_bytes"], held, live)]
        lines.append(row([m["network"], *sizes[:3], times(held / size), sizes[3], times(live / size)]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
