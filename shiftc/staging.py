"""Staged programs of models: made, written beside their weights, read, and looked at as pipelines.

The program itself, its JSON and its reference executor are `tvm_passes.staged`; see docs/staged-program.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from frontends import ImportedModel
from shiftc.atomic_file import replacing
from shiftc.errors import OutputError
from shiftc.options import PassOptions
from shiftc.tensors import read_tensors, write_tensors
from tvm_passes.pipeline import PipelineOptions, staged_module
from tvm_passes.staged.collect import collect
from tvm_passes.staged.json_form import from_json, to_json
from tvm_passes.staged.predict import Pipeline, Prediction
from tvm_passes.staged.program import StagedProgram
from tvm_passes.staged.tile import DEFAULT_TILES, tile


@attrs.frozen(eq=False)
class Staged:
    """A staged program and its weights, by the names of their buffers."""

    program: StagedProgram
    weights: Mapping[str, npt.NDArray[Any]]


@attrs.frozen
class PipelineReport:
    """The residual convolutions of a model as pipelines.

    predictions: what each takes on given engines; empty where no rates were given.
    """

    model: str
    pipelines: tuple[Pipeline, ...]
    predictions: tuple[Prediction, ...] = ()

    @property
    def speed_up(self) -> float:
        """Of all Conv + Add together, over each convolution, then its Add; 1 where there are none."""
        if not self.predictions:
            return 1.0
        return sum(p.sequential for p in self.predictions) / sum(p.pipelined for p in self.predictions)


def stage_model(imported: ImportedModel, model: str, passes: PassOptions) -> Staged:
    """The model, whose file is named `model`, in stages: `passes.h_tiles` tiles of every Conv + Add.

    Raises PassError or LoweringError of tvm_passes.
    """
    options = PipelineOptions(
        opt_level=passes.level, disabled_passes=passes.disabled, node_of_var=imported.node_of_var
    )
    inputs = [str(spec.name) for spec in imported.signature.inputs]
    outputs = [str(spec.name) for spec in imported.signature.outputs]
    module = staged_module(imported.module, options)
    collected = collect(module, model, inputs, outputs, imported.node_of_var)
    return Staged(tile(collected.program, passes.h_tiles or DEFAULT_TILES), collected.weights)


def write_staged(path: Path, staged: Staged) -> None:
    """Writes the program as JSON to `path`, and its weights beside it as .npz. Raises OutputError."""
    weights = path.with_suffix(".npz")
    if weights == path:
        raise OutputError(f"cannot write '{path}': its weights would have the same name")
    write_tensors(weights, {name: np.asarray(values) for name, values in staged.weights.items()})
    with replacing(path) as file:
        file.write(to_json(attrs.evolve(staged.program, weights=weights.name)).encode())


def read_staged(path: Path) -> Staged:
    """What `write_staged` wrote.

    Raises StagedProgramError for a file that is no staged program, OSError where it cannot be read,
    InputFileError for its weights.
    """
    program = from_json(path.read_bytes().decode(errors="replace"))
    return Staged(program, read_tensors(path.parent / program.weights))
