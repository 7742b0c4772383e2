"""Compiles a model, loads it in its peers, checks them against each other and times them in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import onnx

from frontends import ImportedModel
from shiftc import __version__
from shiftc.artifact import write_artifact
from shiftc.bench.floor import floor_of, measure_peak
from shiftc.bench.machine import this_machine
from shiftc.bench.peer import Peer, PeerModel, Runner, find_peer
from shiftc.bench.report import BenchReport, Comparison, Timing
from shiftc.bench.turns import time_in_turns
from shiftc.build import Program, build_program
from shiftc.linker import linker_for
from shiftc.options import BenchOptions, ModelOptions
from shiftc.progress import Progress, silent
from shiftc.runtime import Session, load
from shiftc.tensors import made_up

OURS = "shiftc"
REFERENCE = "onnxruntime"

_PAUSE_SECONDS = 0.1
"""Between turns, so that a runtime's worker threads stop looking for work before the next one is timed."""

Outputs = Sequence[npt.NDArray[Any]]


def compare(options: BenchOptions, progress: Progress = silent) -> BenchReport:
    """Times the model beside every peer at every thread count.

    Raises PeerError for a peer that is unknown or not installed. A peer that cannot run the model is
    reported with its reason.
    """
    peers = [find_peer(name) for name in options.against]
    progress("measuring the machine's peak")
    peak = measure_peak(options.model.target)
    comparisons = []
    for threads in options.threads:
        program = build_program(attrs.evolve(options.model, threads=threads), progress=progress)
        with tempfile.TemporaryDirectory() as folder:
            session = _session(program, Path(folder))
            model = _peer_model(options.model, program.imported, Path(folder))
            ours, timings = _measure(session, model, peers, threads, options.rounds, progress)
        macs = sum(kernel.macs for kernel in program.manifest.kernels)
        comparisons.append(Comparison(threads, ours, timings, floor_of(macs, peak, threads)))
    return BenchReport(options.model.model.name, macs, this_machine(), options.rounds, tuple(comparisons))


def _session(program: Program, folder: Path) -> Session:
    link = linker_for(program.manifest.machine)
    compiled = program.compiled
    path = folder / "artifact"
    write_artifact(
        path, program.manifest, compiled.constants, partial(compiled.library.export_library, fcompile=link)
    )
    return load(path)


def _peer_model(options: ModelOptions, imported: ImportedModel, folder: Path) -> PeerModel:
    """The user's file; where it has custom operators, what they were lowered to."""
    path = options.model
    model = onnx.load(str(path), load_external_data=False)
    if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        path = folder / "lowered.onnx"
        onnx.save(imported.onnx_model, str(path))
    return PeerModel(path, imported, options.target)


def _measure(
    session: Session,
    model: PeerModel,
    peers: Sequence[Peer],
    threads: int,
    rounds: int,
    progress: Progress,
) -> tuple[Timing, tuple[Timing, ...]]:
    inputs = made_up(session.signature.inputs, "random")
    names = [spec.name for spec in session.signature.outputs]

    def run_ours(inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        outputs = session.run(inputs)
        return [outputs[name] for name in names]

    runners: dict[str, Runner] = {OURS: run_ours}
    outputs: dict[str, Outputs] = {OURS: run_ours(inputs)}
    failures: dict[str, str] = {}
    for peer in peers:
        progress(f"loading the model in {peer.name}")
        try:
            runner = peer.load(model, threads)
            outputs[peer.name] = [np.array(output) for output in runner(inputs)]
            runners[peer.name] = runner
        except Exception as error:  # a peer may raise anything; it must not end the comparison
            failures[peer.name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    progress(f"timing, threads: {threads}")
    runnables = {name: partial(runner, inputs) for name, runner in runners.items()}
    seconds = time_in_turns(runnables, rounds, _PAUSE_SECONDS if threads > 1 else 0.0)
    reference = outputs.get(REFERENCE)

    def timing(name: str, version: str) -> Timing:
        if name in failures:
            return Timing(name, version, failure=failures[name])
        error = relative_error(outputs[name], reference) if reference and name != REFERENCE else None
        return Timing(name, version, seconds[name], error)

    return timing(OURS, __version__), tuple(timing(peer.name, peer.version) for peer in peers)


def relative_error(outputs: Outputs, reference: Outputs) -> float:
    """max |Δ| / max |reference| over all outputs, in double precision; infinite where Δ is not a number."""
    worst = 0.0
    for output, expected in zip(outputs, reference, strict=True):
        wide = np.asarray(expected, np.float64)
        difference = np.abs(np.asarray(output, np.float64) - wide)
        if np.isnan(difference).any():
            return float("inf")
        scale = float(np.abs(wide).max(initial=0.0)) or 1.0
        worst = max(worst, float(difference.max(initial=0.0)) / scale)
    return worst
