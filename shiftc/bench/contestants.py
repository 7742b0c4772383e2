"""A model loaded in shiftc and in its peers, run once, ready to be timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import onnx

from frontends import ImportedModel
from shiftc.artifact_writer import write_artifact
from shiftc.bench.peer import Peer, PeerModel, Runner
from shiftc.bench.turns import Runnable
from shiftc.build import Program
from shiftc.linker import linker_for
from shiftc.options import ModelOptions
from shiftc.progress import Progress, silent
from shiftc.runtime import Session, load
from shiftc.tensors import made_up

OURS = "shiftc"
OURS_ALONE = "shiftc, 1 thread"
REFERENCE = "onnxruntime"

Outputs = Sequence[npt.NDArray[Any]]


@attrs.frozen
class Contestants:
    """The runtimes that can run the model, by name, with what each computed; the others with their reason."""

    session: Session
    runnables: Mapping[str, Runnable]
    outputs: Mapping[str, Outputs]
    failures: Mapping[str, str]

    def error(self, name: str) -> float | None:
        """Largest error of a runtime against the reference; None for the reference and without it."""
        reference = self.outputs.get(REFERENCE)
        if reference is None or name == REFERENCE:
            return None
        return relative_error(self.outputs[name], reference)


def load_contestants(
    program: Program,
    options: ModelOptions,
    peers: Sequence[Peer],
    folder: Path,
    progress: Progress = silent,
    alone: Program | None = None,
) -> Contestants:
    """Loads the compiled `program`, and the model it was made from in every peer; each runs it once.

    folder: receives the artifact; needed only until this returns.
    alone:  the same model compiled for one thread, where that is timed as well.

    Whatever a peer raises becomes its failure.
    """
    session = _session(program, folder / "artifact")
    inputs = made_up(session.signature.inputs, "random")
    runners: dict[str, Runner] = {OURS: _runner(session)}
    if alone is not None:
        runners[OURS_ALONE] = _runner(_session(alone, folder / "alone"))
    outputs: dict[str, Outputs] = {name: runner(inputs) for name, runner in runners.items()}
    failures: dict[str, str] = {}
    model = _peer_model(options, program.imported, folder)
    for peer in peers:
        progress(f"loading the model in {peer.name}")
        try:
            runner = peer.load(model, options.threads)
            outputs[peer.name] = [np.array(output) for output in runner(inputs)]
            runners[peer.name] = runner
        except Exception as error:  # a peer may raise anything; it must not end the comparison
            failures[peer.name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    runnables = {name: partial(runner, inputs) for name, runner in runners.items()}
    return Contestants(session, runnables, outputs, failures)


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


def _runner(session: Session) -> Runner:
    names = [spec.name for spec in session.signature.outputs]

    def run(inputs: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        outputs = session.run(inputs)
        return [outputs[name] for name in names]

    return run


def _session(program: Program, path: Path) -> Session:
    link = linker_for(program.manifest.machine)
    compiled = program.compiled
    write_artifact(path, program.manifest, compiled.constants, link.exporting(compiled.library))
    return load(path)


def _peer_model(options: ModelOptions, imported: ImportedModel, folder: Path) -> PeerModel:
    """The user's file; where it has custom operators, what they were lowered to."""
    path = options.model
    model = onnx.load(str(path), load_external_data=False)
    if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        path = folder / "lowered.onnx"
        onnx.save(imported.onnx_model, str(path))
    return PeerModel(path, imported, options.target)
