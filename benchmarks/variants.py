"""One network compiled in several ways, its programs in turns in one process, on one core."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import attrs

from benchmarks.command_line import as_json, parser_of_networks, results_path
from benchmarks.markdown import times
from benchmarks.results_file import Measurement, ResultsFile, now
from shiftc.artifact import read_manifest
from shiftc.bench.compare import PAUSE_SECONDS
from shiftc.bench.lookout import lookout
from shiftc.bench.machine import this_machine
from shiftc.bench.pinning import on_one_core
from shiftc.bench.turns import Measured, Runnable, time_in_turns
from shiftc.driver import compile_model, write_zoo
from shiftc.manifest import CONSTANTS, LIBRARY
from shiftc.options import SHIPPED_RECORDS, CompileOptions, ModelOptions, PassOptions, ZooOptions
from shiftc.runtime import Session, load
from shiftc.tensors import made_up

KEY = ("network", "batch")


@attrs.frozen
class Variant:
    """A way to compile; records: the shipped tuning records are followed."""

    passes: PassOptions = attrs.field(factory=PassOptions)
    records: bool = True


@attrs.frozen
class Comparison:
    """A benchmark of variants, and what it writes.

    part:    of the name of its results.
    title:   of its table.
    measure: what artifacts by variant, and a number of rounds, tell of a network.
    table:   Markdown of a title and measurements.
    gain:    the figure that is printed of each network.
    """

    part: str
    title: str
    variants: Mapping[str, Variant]
    measure: Callable[[Mapping[str, Path], int], Measurement]
    table: Callable[[str, Iterable[Measurement]], str]
    gain: str

    def run(self, documentation: str | None, arguments: list[str] | None) -> int:
        """Measures the networks that the command line asks for."""
        chosen = parser_of_networks(documentation, rounds=11).parse_args(arguments)
        machine = this_machine()
        file = ResultsFile(results_path(chosen.results, machine, "host", self.part), KEY)
        for name, batch in ((name, batch) for batch in chosen.batches for name in chosen.networks):
            with tempfile.TemporaryDirectory() as folder:
                artifacts = compile_variants(name, batch, Path(folder), self.variants)
                measurement = self.measure(artifacts, chosen.rounds)
            found = [{"network": name, "batch": batch, **measurement, "time": now()}]
            table = partial(self.table, f"{self.title} on {machine.processor}")
            file.add(as_json(machine, "host"), found, table)
            print(f"{name}, batch {batch}: {times(measurement[self.gain])}", flush=True)
        return 0


def compile_variants(name: str, batch: int, folder: Path, variants: Mapping[str, Variant]) -> dict[str, Path]:
    """The artifacts of a network, by variant."""
    path = folder / f"{name}.onnx"
    write_zoo(ZooOptions(name, path, batch))
    for variant, how in variants.items():
        model = ModelOptions(path, tuning_records=SHIPPED_RECORDS if how.records else None)
        compile_model(CompileOptions(model, folder / variant, how.passes))
    return {variant: folder / variant for variant in variants}


def time_variants(artifacts: Mapping[str, Path], rounds: int) -> Measured:
    """The turns of every program, one thread."""
    with on_one_core(threads=1):
        core = tuple(os.sched_getaffinity(0))
        runs = {variant: runnable(load(path, core)) for variant, path in distinct(artifacts).items()}
        measured = time_in_turns(runs, rounds, lookout(threads=1, affinity=core), PAUSE_SECONDS)
    turns = {variant: measured.seconds[first] for variant, first in first_alike(artifacts).items()}
    return Measured(turns, measured.disturbed)


def runnable(session: Session) -> Runnable:
    """Runs the program on random inputs."""
    return partial(session.run, made_up(session.signature.inputs, "random"))


def first_alike(artifacts: Mapping[str, Path]) -> dict[str, str]:
    """By name, the first artifact with the same code and constants, whatever their manifests say.

    Two measurements of one program differ by what disturbs the machine, and by nothing else.
    """
    first: dict[tuple[str, str], str] = {}
    return {name: first.setdefault(_program(path), name) for name, path in artifacts.items()}


def _program(path: Path) -> tuple[str, str]:
    """Digests of an artifact's constants and of its library but for the build ID."""
    manifest = read_manifest(path)
    code = (path / LIBRARY).read_bytes().replace(bytes.fromhex(manifest.identity), b"")
    return manifest.files[CONSTANTS].sha256, hashlib.sha256(code).hexdigest()


def distinct(artifacts: Mapping[str, Path]) -> dict[str, Path]:
    """Those that are measured: of artifacts with the same program, the first."""
    alike = first_alike(artifacts)
    return {name: path for name, path in artifacts.items() if alike[name] == name}
