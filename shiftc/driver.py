"""The verbs as functions: each takes a frozen option class, returns a frozen report and prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from schedules import machine_of as machine_parameters
from shiftc import zoo
from shiftc.artifact import is_artifact
from shiftc.artifact_writer import check_writable, write_artifact
from shiftc.atomic_file import replacing
from shiftc.build import build_program, import_file
from shiftc.errors import OutputError
from shiftc.execution import RunReport, run_artifact
from shiftc.inspection import Inspection, inspect_artifact
from shiftc.linker import linker_for
from shiftc.manifest import Manifest
from shiftc.options import (
    BenchOptions,
    CompileOptions,
    InspectOptions,
    PassOptions,
    PipelineViewOptions,
    TuneOptions,
    ZooOptions,
)
from shiftc.progress import Progress, silent
from shiftc.staged_file import write_staged
from shiftc.staging import PipelineReport, stage_model
from shiftc.target import machine_of, parse_target
from shiftc.timeline import timeline
from shiftc.tir_files import write_tir
from tvm_passes.staged.predict import EngineRates, pipelines, predict
from tvm_passes.staged.program import StagedProgram

if TYPE_CHECKING:
    from shiftc.bench.report import BenchReport
    from shiftc.tuning import TuneReport, WorkloadReport


__all__ = [
    "CompileReport",
    "RunReport",
    "ZooReport",
    "bench_model",
    "compile_model",
    "inspect_model",
    "inspect_pipelines",
    "run_artifact",
    "tune_models",
    "write_zoo",
]


@attrs.frozen
class CompileReport:
    """The artifact's manifest, and how it came about.

    pass_times:    seconds each pass took, in order.
    functions:     object files linked: kernels and the program.
    reused:        how many of them were compiled before and found in the cache.
    cache_failure: why the others could not be kept there, if so.
    skipped_records: tuning records that were not followed, with the reason.
    staged:        the staged program that was written, if one was asked for.
    """

    artifact: Path
    manifest: Manifest
    pass_times: Mapping[str, float]
    functions: int
    reused: int
    cache_failure: str | None = None
    skipped_records: tuple[str, ...] = ()
    staged: StagedProgram | None = None


@attrs.frozen
class ZooReport:
    """What was written, and how it compares with its paper (None where the paper gives no figure)."""

    path: Path
    parameters: int
    macs: int
    published: zoo.Published


def compile_model(options: CompileOptions, progress: Progress = silent) -> CompileReport:
    """Compiles a model to an artifact; `dump_ir` is written beside it, whether compiling succeeds or not.

    Raises OutputError, TargetError, NoLinkerError, a ModelError of frontends, or a PassError of
    tvm_passes; then no artifact was written.
    """
    check_writable(options.output)
    if options.passes.dump_ir:
        _make_folder(options.passes.dump_ir)
    link = linker_for(machine_of(parse_target(options.model.target)))
    program = build_program(options.model, options.passes, progress)
    staged = None
    if options.emit_stages is not None:
        progress("writing stages")
        lanes = machine_parameters(parse_target(options.model.target)).lanes
        staged = stage_model(program.imported, options.model.model.name, options.passes, lanes)
        write_staged(options.emit_stages, staged)
    progress("linking")
    library = program.compiled.library
    manifest = write_artifact(
        options.output, program.manifest, program.compiled.constants, link.exporting(library)
    )
    return CompileReport(
        options.output,
        manifest,
        program.compiled.pass_times,
        functions=len(library.files),
        reused=library.reused,
        cache_failure=program.cache_failure,
        skipped_records=program.skipped_records,
        staged=None if staged is None else staged.program,
    )


def bench_model(options: BenchOptions, progress: Progress = silent) -> BenchReport:
    """Times a model beside its peers, in turns.

    Raises PeerError, or whatever compile_model raises.
    """
    from shiftc.bench.compare import compare  # a session that never compares loads no peer

    return compare(options, progress)


def tune_models(
    options: TuneOptions, report: Callable[[WorkloadReport], None], progress: Progress = silent
) -> TuneReport:
    """Searches the decisions of the models' kernels on this machine; see `shiftc.tuning`."""
    from shiftc.tuning import tune_models as tune  # measuring loads what compiling does not

    return tune(options, report, progress)


def inspect_model(options: InspectOptions, progress: Progress = silent) -> Inspection:
    """What a model compiles to, or what an artifact holds.

    Raises an ArtifactError for an artifact; TargetError, ModelError or PassError for a model.
    """
    if is_artifact(options.path):
        return inspect_artifact(options.path)
    program = build_program(options.model, progress=progress)
    return Inspection(program.manifest, program.skipped_records)


def inspect_pipelines(options: PipelineViewOptions, progress: Progress = silent) -> PipelineReport:
    """A model's residual convolutions as pipelines of two engines; writes their TIR and timeline if asked.

    The timeline is of predictions: it needs `engine_rates`. Raises TargetError, ModelError, PassError or
    OutputError.
    """
    progress("importing")
    imported = import_file(options.model)
    progress("making stages")
    name = options.model.model.name
    lanes = machine_parameters(parse_target(options.model.target)).lanes
    program = stage_model(imported, name, PassOptions(h_tiles=options.h_tiles), lanes).program
    found = tuple(pipelines(program))
    if options.emit_tir is not None:
        progress("writing TIR")
        write_tir(options.emit_tir, program, found)
    if options.engine_rates is None:
        return PipelineReport(name, found)
    rates = EngineRates(*options.engine_rates)
    report = PipelineReport(name, found, tuple(predict(program, pipeline, rates) for pipeline in found))
    if options.timeline is not None:
        with replacing(options.timeline) as file:
            file.write(timeline(report).encode())
    return report


def write_zoo(options: ZooOptions, progress: Progress = silent) -> ZooReport:
    """Writes a network of the zoo as ONNX. Raises zoo.UnknownNetwork or OutputError."""
    progress("building")
    model = zoo.build(options.name, options.batch, options.seed)
    with replacing(options.output) as file:
        file.write(model.SerializeToString())
    cost = zoo.count(model)
    return ZooReport(options.output, cost.parameters, cost.macs, zoo.published(options.name))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error
