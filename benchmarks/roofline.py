"""Draws a network's roofline: what every kernel reaches of what its arithmetic intensity allows.

    python -m benchmarks.roofline                   # some networks of the zoo
    python -m benchmarks.roofline resnet50 vargnet

One SVG per network: a point for every step that multiplies, FLOP per byte against GFLOP/s, its area the
step's share of the time. The roofs are measured: the multiply-add peak, and how fast one core reads from its
caches and from memory (Williams, Waterman & Patterson, "Roofline", CACM 2009). One thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.command_line import results_path
from benchmarks.networks import Network, corpus_networks, zoo_networks
from benchmarks.results_file import FOLDER
from benchmarks.roofline_data import Roofs, measure_roofs, points_of
from benchmarks.roofline_plot import draw
from shiftc.bench.machine import this_machine
from shiftc.bench.pinning import on_one_core
from shiftc.driver import compile_model
from shiftc.options import CompileOptions
from shiftc.runtime import StepTime, load
from shiftc.tensors import made_up

_DEFAULT = ("shiftresnet110", "shufflenetv2-1.0", "resnet50")
_REPEAT = 25


def main(arguments: list[str] | None = None) -> int:
    """Draws the networks that the command line names."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"({' '.join(_DEFAULT)})")
    parser.add_argument("--target", default="host", help="host (default) or 'llvm -mcpu=haswell'")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of the plots")
    chosen = parser.parse_args(arguments)

    by_name = {network.name: network for network in (*zoo_networks(), *corpus_networks())}
    names = chosen.networks or _DEFAULT
    unknown = set(names) - set(by_name)
    if unknown:
        parser.error(f"no network is called {', '.join(sorted(unknown))}; there are {', '.join(by_name)}")
    machine = this_machine()
    for name in names:
        print(name, flush=True)
        steps, roofs = _measure(by_name[name], chosen.target)
        part = f"roofline-{name.replace('/', '-')}"
        path = results_path(chosen.results, machine, chosen.target, part).with_suffix(".svg")
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(f"{name} on {machine.processor}, one thread, {chosen.target}", points_of(steps), roofs, path)
    return 0


def _measure(network: Network, target: str) -> tuple[tuple[StepTime, ...], Roofs]:
    """Times of the steps and the machine's roofs, one right after the other."""
    with tempfile.TemporaryDirectory() as folder:
        options = network.options(network.batch or 1, target, Path(folder))
        artifact = Path(folder) / "artifact"
        compile_model(CompileOptions(options, artifact))
        session = load(artifact)
    inputs = made_up(session.signature.inputs, "random")
    with on_one_core(threads=1):
        return session.profile(inputs, _REPEAT), measure_roofs(target)


if __name__ == "__main__":
    sys.exit(main())
