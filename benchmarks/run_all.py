"""Times every network of the zoo beside its peers; one JSON file and one Markdown table per machine.

    python benchmarks/run_all.py                        # all networks, 1 and 2 threads
    python benchmarks/run_all.py resnet50 --threads 1

A network that fails is reported, and the others are still timed; the exit status is then 1. Networks
named on the command line are added to the machine's file, what it holds of others is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from shiftc import __version__, zoo
from shiftc.bench.machine import Machine, this_machine
from shiftc.driver import bench_model, write_zoo
from shiftc.options import BenchOptions, ModelOptions, ZooOptions

RESULTS = Path(__file__).parent / "results"
PEERS = ("onnxruntime", "openvino", "tvm")


def main() -> int:
    """Runs the benchmarks that the command line asks for."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("networks", nargs="*", help="networks of the zoo (all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--against", nargs="+", default=list(PEERS), choices=PEERS)
    arguments = parser.parse_args()

    machine = this_machine()
    file = RESULTS / f"{machine.slug}.json"
    results: dict[str, Any] = json.loads(file.read_text())["networks"] if file.exists() else {}
    failed = []
    for name in arguments.networks or zoo.names():
        print(name, flush=True)
        try:
            results[name] = _measure(name, tuple(arguments.threads), tuple(arguments.against))
        except Exception as error:
            failed.append(name)
            print(f"  failed: {error}", file=sys.stderr, flush=True)
            continue
        _write(file, machine, results)
    return 1 if failed else 0


def _measure(name: str, threads: tuple[int, ...], against: tuple[str, ...]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        write_zoo(ZooOptions(name, path))
        report = bench_model(BenchOptions(ModelOptions(path), against, threads))
    return {key: value for key, value in report.as_json().items() if key not in ("machine", "model")}


def _write(file: Path, machine: Machine, results: dict[str, Any]) -> None:
    document = {
        "machine": {
            "processor": machine.processor,
            "architecture": machine.architecture,
            "cores": machine.cores,
            "system": machine.system,
            "python": machine.python,
        },
        "shiftc": __version__,
        "networks": results,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n")
    file.with_suffix(".md").write_text(_markdown(machine, results))


def _markdown(machine: Machine, results: dict[str, Any]) -> str:
    lines = [
        f"# {machine.processor}, {machine.cores} cores",
        "",
        "Median milliseconds per call, batch 1, float32, all runtimes in turns in one process. `floor` is",
        "the network's multiply-adds at the measured FMA peak; ratios say how many times faster shiftc is.",
        "",
        "| network | threads | shiftc | floor | " + " | ".join(f"{peer} | ratio" for peer in PEERS) + " |",
        "|---|---|---|---|" + "---|---|" * len(PEERS),
    ]
    for name, result in results.items():
        lines += [_row(name, comparison) for comparison in result["comparisons"]]
    return "\n".join(lines) + "\n"


def _row(name: str, comparison: dict[str, Any]) -> str:
    runtimes = comparison["runtimes"]
    cells = [name, str(comparison["threads"]), _ms(runtimes["shiftc"]), f"{comparison['floor_ms']:.3f}"]
    for peer in PEERS:
        ratio = comparison["ratios"].get(peer)
        cells += [_ms(runtimes.get(peer, {})), "" if ratio is None else f"{ratio:.2f}"]
    return f"| {' | '.join(cells)} |"


def _ms(runtime: dict[str, Any]) -> str:
    return f"{runtime['median_ms']:.3f}" if "median_ms" in runtime else ""


if __name__ == "__main__":
    sys.exit(main())
