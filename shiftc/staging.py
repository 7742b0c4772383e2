"""Models as staged programs, and those looked at as pipelines; see docs/staged-program.md."""

from __future__ import annotations

import attrs

from frontends import ImportedModel
from shiftc.options import PassOptions
from shiftc.staged_file import Staged
from tvm_passes.pipeline import PipelineOptions, staged_module
from tvm_passes.staged.collect import collect
from tvm_passes.staged.predict import Pipeline, Prediction
from tvm_passes.staged.tile import DEFAULT_TILES, tile


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


def stage_model(imported: ImportedModel, model: str, passes: PassOptions, lanes: int = 1) -> Staged:
    """The model, whose file is named `model`, in stages: `passes.h_tiles` tiles of every Conv + Add.

    lanes: of the target whose kernels' order of summation the reference follows.
    Raises PassError or LoweringError of tvm_passes.
    """
    options = PipelineOptions(
        opt_level=passes.level, disabled_passes=passes.disabled, node_of_var=imported.node_of_var
    )
    inputs = [str(spec.name) for spec in imported.signature.inputs]
    outputs = [str(spec.name) for spec in imported.signature.outputs]
    module = staged_module(imported.module, options)
    collected = collect(module, model, inputs, outputs, imported.node_of_var, lanes)
    return Staged(tile(collected.program, passes.h_tiles or DEFAULT_TILES), collected.weights)
