"""One network compiled in several ways, its programs in turns in one process, on one core."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import attrs

from shiftc.artifact import read_manifest
from shiftc.bench.compare import PAUSE_SECONDS
from shiftc.bench.pinning import on_one_core
from shiftc.bench.turns import Runnable, time_calmly
from shiftc.driver import compile_model, write_zoo
from shiftc.options import SHIPPED_RECORDS, CompileOptions, ModelOptions, PassOptions, ZooOptions
from shiftc.runtime import Session, load
from shiftc.tensors import made_up


@attrs.frozen
class Variant:
    """A way to compile; records: the shipped tuning records are followed."""

    passes: PassOptions = attrs.field(factory=PassOptions)
    records: bool = True


def compile_variants(name: str, batch: int, folder: Path, variants: Mapping[str, Variant]) -> dict[str, Path]:
    """The artifacts of a network, by variant."""
    path = folder / f"{name}.onnx"
    write_zoo(ZooOptions(name, path, batch))
    for variant, how in variants.items():
        model = ModelOptions(path, tuning_records=SHIPPED_RECORDS if how.records else None)
        compile_model(CompileOptions(model, folder / variant, how.passes))
    return {variant: folder / variant for variant in variants}


def time_variants(artifacts: Mapping[str, Path], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of every turn of every program, one thread."""
    with on_one_core(threads=1):
        core = tuple(os.sched_getaffinity(0))
        runs = {variant: runnable(load(path, core)) for variant, path in distinct(artifacts).items()}
        turns = time_calmly(runs, rounds, PAUSE_SECONDS)
    return {variant: turns[first] for variant, first in first_alike(artifacts).items()}


def runnable(session: Session) -> Runnable:
    """Runs the program on random inputs."""
    return partial(session.run, made_up(session.signature.inputs, "random"))


def first_alike(artifacts: Mapping[str, Path]) -> dict[str, str]:
    """By name, the first artifact with the same code and constants.

    Two measurements of one program differ by what disturbs the machine, and by nothing else.
    """
    first: dict[tuple[tuple[str, str], ...], str] = {}
    return {
        name: first.setdefault(tuple(sorted(read_manifest(path).files.items())), name)
        for name, path in artifacts.items()
    }


def distinct(artifacts: Mapping[str, Path]) -> dict[str, Path]:
    """Those that are measured: of artifacts with the same program, the first."""
    alike = first_alike(artifacts)
    return {name: path for name, path in artifacts.items() if alike[name] == name}
