"""How long blocks of networks take in how many tiles, beside what the cost model of chains expects.

    python -m benchmarks.tile_counts                              # thirty blocks
    python -m benchmarks.tile_counts --kinds csc mlp
    python -m benchmarks.tile_counts --artifacts DIR --compile-only   # now compile, measure when it is quiet

Every block is compiled stage by stage (one tile), as one chain in every number of tiles that makes another
height, and as the compiler chooses by itself. The programs take turns in one process on one core; only the
steps between the layouts of input and output count. Writes `<machine>-tile-counts.json`, a Markdown table,
and a plot: time against tiles, predicted beside measured.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import onnx

from benchmarks.blocks import BLOCKS, KINDS, Block
from benchmarks.command_line import (
    add_artifacts,
    add_rounds,
    artifacts_folder,
    as_json,
    plain_parser,
    results_path,
)
from benchmarks.markdown import document, row, times
from benchmarks.results_file import Measurement, ResultsFile, now
from benchmarks.tile_counts_plot import draw
from schedules.machine import machine_of
from schedules.peak import FmaLoop, fma_loop
from shiftc.bench.machine import this_machine
from shiftc.bench.pinning import on_one_core
from shiftc.build import import_file
from shiftc.driver import compile_model
from shiftc.manifest import Manifest
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from shiftc.runtime import Session, load
from shiftc.target import parse_target
from shiftc.tensors import made_up
from tvm_passes.pipeline import PipelineOptions, staged_module
from tvm_passes.tile_counts import modelled_by_tiles

KEY = ("block",)
AUTO = "auto"
WITHIN = 1.05
"""Over the fewest microseconds, what counts as a good choice."""

_MODEL = "model.onnx"
_BURST_SECONDS = 5e-3
_FEWEST_RUNS, _MOST_RUNS = 3, 25
"""In a burst."""


def main(arguments: list[str] | None = None) -> int:
    """Measures the blocks that the command line asks for."""
    parser = plain_parser(__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--planes", nargs="+", type=int, metavar="ROWS", help="only blocks of such inputs")
    add_rounds(parser, 40)
    add_artifacts(parser)
    chosen = parser.parse_args(arguments)
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "tile-counts"), KEY)
    with artifacts_folder(parser, chosen) as folder:
        for block in BLOCKS:
            if block.kind not in chosen.kinds or (chosen.planes and block.plane not in chosen.planes):
                continue
            compiled = compile_block(block, folder / str(block).replace(" ", ""))
            if chosen.compile_only:
                continue
            found = measure(block, compiled, chosen.rounds)
            title = f"Numbers of tiles on {machine.processor}"
            file.add(as_json(machine, "host"), [found], partial(table, title))
            draw(title, file.read(), file.path.with_suffix(".svg"))
            print(f"{block}: {found['choice']} takes {times(over_best(found))} the best", flush=True)
    return 0


def compile_block(block: Block, folder: Path) -> dict[str, Path]:
    """The artifacts of a block by numbers of tiles, and that of the compiler's choice.

    What the folder has is not compiled again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / _MODEL
    if not model.exists():
        onnx.save(block.model(), str(model))
    programs = {
        AUTO: PassOptions(),
        "1": PassOptions(chain=1),
        **{str(count): PassOptions(h_tiles=count, force_chains=True) for count in block.tile_counts()},
    }
    for name, passes in programs.items():
        if not (folder / name).exists():
            compile_model(CompileOptions(ModelOptions(model), folder / name, passes))
    return {name: folder / name for name in programs}


def measure(block: Block, artifacts: Mapping[str, Path], rounds: int) -> Measurement:
    """Microseconds of every program, by minima and by medians; modelled ones of each number of tiles.

    A few percent are asked for, and a neighbour on the same core costs ten to forty for seconds: a program's
    time is that of its fastest burst, of many. A burst's is the median of its runs.

    bytes: of the workspaces; choice: stages and tiles of the chains that the compiler forms by itself.
    """
    loop = fma_loop(parse_target("host"))
    with on_one_core(threads=1):
        core = tuple(os.sched_getaffinity(0))
        sessions = {name: load(artifact, core) for name, artifact in artifacts.items()}
        turns = _in_turns({name: Burst(session) for name, session in sessions.items()}, rounds)
        us = 1e6 * _seconds_of_a_cycle(loop)
    modelled = modelled_cycles(artifacts[AUTO].parent / _MODEL, block.tile_counts())
    return {
        "block": str(block),
        "choice": _chains(sessions[AUTO].manifest),
        "us": {name: round(1e6 * min(seconds), 3) for name, seconds in turns.items()},
        "us_median": {name: round(1e6 * median(seconds), 3) for name, seconds in turns.items()},
        "modelled_us": {str(count): round(us * each, 3) for count, each in modelled.items()},
        "bytes": {name: session.manifest.arena_bytes for name, session in sessions.items()},
        "time": now(),
    }


def modelled_cycles(model: Path, counts: Sequence[int]) -> dict[int, float]:
    """Of the model's stages one after the other (1), and as a chain in so many tiles."""
    options = ModelOptions(model)
    staged = staged_module(import_file(options).module, PipelineOptions())
    return modelled_by_tiles(staged, machine_of(parse_target(options.target)), counts)


class Burst:
    """Runs a program for a while: seconds of the steps between the layouts of input and output."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inputs = made_up(session.signature.inputs, "random")
        self._runs = _FEWEST_RUNS
        self._runs = max(_FEWEST_RUNS, min(_MOST_RUNS, int(_BURST_SECONDS / max(self(), 1e-9))))

    def __call__(self) -> float:
        steps = self._session.profile(self._inputs, self._runs)
        return sum(step.seconds for step in steps if step.kernel.kind != "layout")


def _in_turns(programs: Mapping[str, Burst], rounds: int) -> dict[str, list[float]]:
    """Seconds of each program by turns; every other round goes backwards."""
    names = list(programs)
    turns: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[:: -1 if number % 2 else 1]:
            turns[name].append(programs[name]())
    return turns


def _seconds_of_a_cycle(loop: FmaLoop) -> float:
    """From how long multiply-adds take, as many of which are started in a cycle as there are ports."""
    machine = machine_of(parse_target("host"))
    seconds = min(_timed(loop.run) for _ in range(_MOST_RUNS))
    return seconds * 2 * machine.lanes * machine.fma_ports / loop.flops


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _chains(manifest: Manifest) -> str:
    """What the compiler formed: `stages x tiles` of each chain."""
    chains = [kernel.name.removeprefix("chain_") for kernel in manifest.kernels if kernel.kind == "chain"]
    return ", ".join(chains) or "no chain"


# --- what measurements say --------------------------------------------------------------------------------


def best(measurement: Measurement, of: str = "us", fewest: int = 1) -> str:
    """The number of tiles, at least so many, that took, or is modelled to take, the least."""
    us: Mapping[str, float] = measurement[of]
    return min((count for count in us if count != AUTO and int(count) >= fewest), key=us.__getitem__)


def over_best(measurement: Measurement, program: str = AUTO, of: str = "us") -> float:
    """How long a program takes, over the fastest of all."""
    us: Mapping[str, float] = measurement[of]
    return us[program] / min(us.values())


_COLUMNS = (
    *("block", "one tile µs", "best T", "µs", "modelled best T", "over best"),
    *("compiled", "over best", "of medians", "KiB, one tile", "compiled"),
)


def table(title: str, measurements: Sequence[Measurement]) -> str:
    """Markdown: how often choices are good, and one row a block."""
    count = len(measurements)
    modelled = [over_best(m, best(m, "modelled_us")) for m in measurements]
    compiled = [over_best(m) for m in measurements]
    chained = [m["us"][best(m, "modelled_us", 2)] / m["us"][best(m, fewest=2)] for m in measurements]
    good_modelled, good_compiled, good_chained = (
        sum(over <= WITHIN for over in each) for each in (modelled, compiled, chained)
    )
    text = [
        "Blocks of networks in T tiles of rows, one thread, in turns in one process; T = 1: stage by stage.",
        f"Within {WITHIN - 1:.0%} of the fastest are",
        "",
        f"- the T of the fewest modelled cycles, for {good_modelled} of {count} blocks;",
        f"- of chains alone, T > 1, that of the fewest modelled cycles, for {good_chained};",
        "- what the compiler makes of a block, the least memory that is modelled to be as fast, for",
        f"  {good_compiled} of {count}; its chains are given as stages x tiles.",
        "",
        "Times are minima of many bursts. The plot has time against T, predicted beside measured.",
    ]
    return document(title, text, _COLUMNS, map(_row, measurements))


def _row(m: Measurement) -> str:
    us, fastest, chosen = m["us"], best(m), best(m, "modelled_us")
    cells = [m["block"], f"{us['1']:.1f}", fastest, f"{us[fastest]:.1f}", chosen, times(over_best(m, chosen))]
    cells += [m["choice"], times(over_best(m)), times(over_best(m, of="us_median"))]
    cells += [f"{m['bytes'][name] // 1024}" for name in ("1", AUTO)]
    return row(cells)


if __name__ == "__main__":
    sys.exit(main())
