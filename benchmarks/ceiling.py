"""What chains can gain at most: every network with its intermediates in the first cache, and in memory.

    python -m benchmarks.ceiling                                  # every network of the zoo at batch 1
    python -m benchmarks.ceiling --networks mobilenetv2 --rounds 21
    python -m benchmarks.ceiling --artifacts DIR --compile-only   # now compile, measure when it is quiet

Four times of one network, on one core:

    in L1        no chains; the same kernels read and write a few KiB (`first_cache`): no program that keeps
                 these kernels and has no traffic at all is faster
    off, auto    compiled without chains, and with those that are modelled to pay
    from memory  no chains; before each step all intermediates are put out of all caches: off, and what its
                 steps then take longer one by one

The first three take turns in warm bursts in one process; steps with and without eviction take turns after.
Weights stay in the caches as far as they fit. Writes `<machine>-ceiling.json` and a Markdown table.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import attrs
import numpy as np

from benchmarks.command_line import add_artifacts, artifacts_folder, as_json, parser_of_networks, results_path
from benchmarks.first_cache import in_first_cache
from benchmarks.markdown import DISTURBED_LEGEND, document, named, percent, row, times
from benchmarks.results_file import Measurement, ResultsFile, now
from benchmarks.variants import distinct, first_alike
from schedules.eviction import eviction_of
from shiftc.artifact_writer import write_artifact
from shiftc.bench.compare import PAUSE_SECONDS
from shiftc.bench.lookout import lookout
from shiftc.bench.machine import this_machine
from shiftc.bench.pinning import on_one_core
from shiftc.bench.turns import time_in_turns
from shiftc.build import Program, build_program
from shiftc.driver import write_zoo
from shiftc.kernel_cache import KernelCache
from shiftc.linker import linker_for
from shiftc.options import ModelOptions, PassOptions, ZooOptions
from shiftc.runtime import Session
from shiftc.target import parse_target
from shiftc.tensors import made_up
from shiftc.tuning_records import find_records
from tvm_passes.array import Array
from tvm_passes.object_code import ObjectCode, compile_program
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.tiling import NO_TILING

KEY = ("network", "batch")

OFF, AUTO, IN_L1 = "off", "auto", "in L1"
PROGRAMS: Mapping[str, PassOptions] = {OFF: PassOptions(chain=1), AUTO: PassOptions()}
_REPEATS = 15
"""Passes through the steps, with and without eviction."""


def main(arguments: list[str] | None = None) -> int:
    """Measures the networks that the command line asks for."""
    parser = parser_of_networks(__doc__, rounds=21)
    add_artifacts(parser)
    chosen = parser.parse_args(arguments)
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "ceiling"), KEY)
    with artifacts_folder(parser, chosen) as folder:
        for name, batch in ((name, batch) for batch in chosen.batches for name in chosen.networks):
            artifacts = compiled(name, batch, folder / f"{name}-batch{batch}")
            if chosen.compile_only:
                continue
            measurement = measure(artifacts, chosen.rounds)
            found = [{"network": name, "batch": batch, **measurement, "time": now()}]
            title = f"Intermediates in the first cache and in memory on {machine.processor}"
            file.add(as_json(machine, "host"), found, partial(table, title))
            print(f"{name}, batch {batch}: {times(measurement['in_l1_gain'])} in L1", flush=True)
    return 0


# --- compiling ------------------------------------------------------------------------------------------


def compiled(name: str, batch: int, folder: Path) -> dict[str, Path]:
    """The artifacts of a network, by program; what the folder does not have is compiled."""
    artifacts = {program: folder / program.replace(" ", "-") for program in (*PROGRAMS, IN_L1)}
    missing = [program for program, path in artifacts.items() if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as models:
        model = ModelOptions(Path(models) / f"{name}.onnx")
        if missing:
            write_zoo(ZooOptions(name, model.model, batch))
        for program in missing:
            built = build_program(model, PROGRAMS.get(program, PROGRAMS[OFF]))
            if program == IN_L1:
                _write_in_first_cache(artifacts[program], model, built)
            else:
                _write(artifacts[program], built, built.compiled.library, built.compiled.constants)
    return artifacts


def _write_in_first_cache(path: Path, model: ModelOptions, off: Program) -> None:
    """The program without chains again, its intermediates in a few KiB."""
    target = parse_target(model.target)
    options = PipelineOptions(
        tiling=NO_TILING,
        node_of_var=off.imported.node_of_var,
        records=find_records(model.tuning_records, target),
    )
    windowed = in_first_cache(lower_module(off.imported.module, target, options), target)
    library = compile_program(windowed.lowered.module, target, KernelCache())
    manifest = attrs.evolve(off.manifest, arena_bytes=windowed.lowered.arena_bytes)
    _write(path, attrs.evolve(off, manifest=manifest), library, windowed.lowered.constants)


def _write(path: Path, program: Program, library: ObjectCode, constants: Array) -> None:
    link = linker_for(program.manifest.machine)
    write_artifact(path, program.manifest, constants, link.exporting(library))


# --- measuring ------------------------------------------------------------------------------------------


class OpenSession(Session):
    """A session whose workspace and steps can be got at."""

    @property
    def workspace(self) -> Array:
        return self._arena

    def stepper(self, inputs: Mapping[str, Array]) -> Callable[[int, int], object]:
        """`run(first, last)`: the steps from `first` to before `last`."""
        return partial(self._main, *self._take(inputs))


def measure(artifacts: Mapping[str, Path], rounds: int) -> Measurement:
    """Milliseconds of the programs; how many times as fast as `off` they are, and how close chains come."""
    with on_one_core(threads=1):
        core = tuple(os.sched_getaffinity(0))
        sessions = {program: OpenSession(path, core) for program, path in artifacts.items()}
        _fill(sessions[IN_L1].workspace, behind=sessions[OFF].workspace.size)
        inputs = made_up(sessions[OFF].signature.inputs, "random")
        runs = {
            program: partial(sessions[program].stepper(inputs), 0, len(sessions[program].manifest.kernels))
            for program in distinct(artifacts)
        }
        measured = time_in_turns(runs, rounds, lookout(threads=1, affinity=core), PAUSE_SECONDS)
        natural, evicted = steps_evicted(sessions[OFF], inputs)
    alike = first_alike(artifacts)
    seconds = {program: measured.seconds[alike[program]] for program in (OFF, AUTO, IN_L1)}
    return {"disturbed": measured.disturbed, **compared(seconds, natural, evicted)}


def compared(seconds: Mapping[str, Sequence[float]], natural: float, evicted: float) -> Measurement:
    """Medians in milliseconds, gains over `off` and shares of the way from memory to the first cache.

    Of the seconds that each program took in its turns, and of those that all steps of `off` take one by
    one: as each finds what its predecessors left, and from memory.
    """
    off, auto, in_l1 = (seconds[program] for program in (OFF, AUTO, IN_L1))
    slower = evicted - natural
    return {
        "off_ms": _ms(median(off)),
        "auto_ms": _ms(median(auto)),
        "in_l1_ms": _ms(median(in_l1)),
        "from_memory_ms": _ms(median(off) + slower),
        "steps_ms": _ms(natural),
        "in_l1_gain": round(median(off) / median(in_l1), 3),
        "in_l1_gain_of_minima": round(min(off) / min(in_l1), 3),
        "auto_gain": round(median(off) / median(auto), 3),
        "auto_gain_of_minima": round(min(off) / min(auto), 3),
        "off_share": _share(min(off) + slower, min(off), min(in_l1)),
        "auto_share": _share(min(off) + slower, min(auto), min(in_l1)),
    }


def steps_evicted(session: OpenSession, inputs: Mapping[str, Array]) -> tuple[float, float]:
    """Seconds of all steps one by one: as each finds what its predecessors left, and from memory."""
    run = session.stepper(inputs)
    evict = eviction_of(session.workspace, parse_target("host"))
    steps = range(len(session.manifest.kernels))
    natural: list[list[float]] = [[] for _ in steps]
    evicted: list[list[float]] = [[] for _ in steps]
    for _ in range(_REPEATS):
        for measured, before in ((natural, _nothing), (evicted, evict)):
            for step in steps:
                before()
                measured[step].append(_seconds(run, step))
    return sum(map(median, natural)), sum(map(median, evicted))


def _nothing() -> None:
    pass


def _seconds(run: Callable[[int, int], object], step: int) -> float:
    start = time.perf_counter()
    run(step, step + 1)
    return time.perf_counter() - start


def _fill(workspace: Array, behind: int) -> None:
    """Numbers like those of activations, where nobody writes."""
    start = -(-behind // 64) * 64
    numbers = np.random.default_rng(0).standard_normal((workspace.size - start) // 4)
    workspace[start:] = np.abs(numbers).astype(np.float32).view(np.uint8)


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 4)


def _share(slowest: float, seconds: float, fastest: float) -> float:
    """How far a time is on the way from the slowest to the fastest."""
    return round((slowest - seconds) / (slowest - fastest), 3)


# --- the table ------------------------------------------------------------------------------------------

_COLUMNS = (
    *("network", "batch", "from memory ms", "off ms", "auto ms", "in L1 ms"),
    *("ceiling", "of minima", "auto", "of minima", "off of the way", "auto of the way"),
)


def table(title: str, measurements: Iterable[Measurement]) -> str:
    """Markdown: one row a measurement, the longest networks first."""
    text = [
        "One thread; milliseconds (medians). From memory: without chains, all intermediates out of all",
        "caches before each step. Off and auto: without chains, and with those that are modelled to pay. In",
        "L1: the kernels of the program without chains on intermediates of a few KiB. Ceiling and auto: how",
        "many times as fast as off, by medians and by minima. The last columns say how far off and auto are",
        "on the way from memory to the first cache, by minima.",
        DISTURBED_LEGEND,
    ]
    longest_first = sorted(measurements, key=lambda m: -m["off_ms"])
    return document(title, text, _COLUMNS, map(_row, longest_first))


def _row(m: Measurement) -> str:
    names = ("from_memory_ms", "off_ms", "auto_ms", "in_l1_ms")
    gains = ("in_l1_gain", "in_l1_gain_of_minima", "auto_gain", "auto_gain_of_minima")
    return row(
        [
            *(named(m), f"{m['batch']}", *(f"{m[name]:.3f}" for name in names)),
            *(times(m[name]) for name in gains),
            *(percent(m[name]) for name in ("off_share", "auto_share")),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
