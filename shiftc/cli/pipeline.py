"""`shiftc inspect --pipeline`: every residual Conv + Add as stages of two engines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from shiftc.artifact import is_artifact
from shiftc.cli.flags import PATH, AutoOffOr, Verb, joined
from shiftc.cli.terminal import Terminal
from shiftc.cli.units import duration
from shiftc.options import ModelOptions, PipelineViewOptions

if TYPE_CHECKING:
    from shiftc.staging import PipelineReport
    from tvm_passes.staged.predict import Pipeline, Prediction
    from tvm_passes.staged.program import Engine, Stage

_COLUMNS = ("stage", "convolution engine", "vector engine", "then")


class Rates(click.ParamType):  # type: ignore[type-arg]
    """GFLOP/s of the convolution engine and of the vector engine, as FLOP/s."""

    name = "CONV,VECTOR"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            convolution, vector = (1e9 * float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is not two numbers like 2000,100", param, context)
        if not (0 < convolution < float("inf") and 0 < vector < float("inf")):
            self.fail(f"'{value}' holds a rate that is not above 0", param, context)
        return convolution, vector


def pipeline_flags(verb: Verb) -> Verb:
    """Adds the flags of `print_pipelines`."""
    return joined(
        verb,
        click.option(
            "--pipeline", is_flag=True, help="Show every Conv + Add as stages of two engines instead."
        ),
        click.option(
            "--h-tiles", type=AutoOffOr(), help="Tiles of rows of every Conv + Add.  [default: auto, 4]"
        ),
        click.option(
            "--engine-rates",
            type=Rates(),
            help="GFLOP/s of the two engines: predict what the pipelines gain.",
        ),
        click.option("--timeline", type=PATH, metavar="FILE.svg", help="Draw the predictions."),
        click.option(
            "--emit-tir",
            type=PATH,
            metavar="DIR",
            help="Write every Conv + Add as TIR, before and after InjectSoftwarePipeline.",
        ),
    )


def print_pipelines(
    terminal: Terminal,
    model: ModelOptions,
    h_tiles: int | None,
    engine_rates: tuple[float, float] | None,
    timeline: Path | None,
    emit_tir: Path | None,
    *,
    as_json: bool,
) -> None:
    """One table for each residual convolution, or all of them as JSON. Raises UsageError for an artifact."""
    from shiftc.driver import inspect_pipelines

    if is_artifact(model.model):
        raise click.UsageError("an artifact holds kernels, no stages: --pipeline takes a model")
    if timeline is not None and engine_rates is None:
        raise click.UsageError("--timeline draws predictions: it takes --engine-rates")
    with terminal.progress() as progress:
        report = inspect_pipelines(
            PipelineViewOptions(model, h_tiles, engine_rates, timeline, emit_tir), progress
        )
    if as_json:
        terminal.write_json(pipelines_as_json(report))
        return
    predictions = report.predictions or (None,) * len(report.pipelines)
    for pipeline, prediction in zip(report.pipelines, predictions, strict=True):
        _print(terminal, pipeline, prediction)
    terminal.say(_summary(report))


def pipelines_as_json(report: PipelineReport) -> dict[str, Any]:
    """One object for `--json`."""
    predicted = [
        {"sequential_s": p.sequential, "pipelined_s": p.pipelined, "speed_up": p.speed_up}
        for p in report.predictions
    ]
    return {
        "model": report.model,
        "speed_up": report.speed_up if predicted else None,
        "pipelines": [
            {
                "operator": pipeline.operator.name,
                "nodes": list(pipeline.operator.nodes),
                "tiles": pipeline.tiles,
                "first_stage": pipeline.first,
                "stages": [[attrs.asdict(step) for step in stage.steps] for stage in pipeline.stages],
                "predicted": predicted[number] if predicted else None,
            }
            for number, pipeline in enumerate(report.pipelines)
        ],
    }


def _print(terminal: Terminal, pipeline: Pipeline, prediction: Prediction | None) -> None:
    heading = f"{', '.join(pipeline.operator.nodes)}: {pipeline.tiles} tiles"
    if prediction is not None:
        heading += (
            f", {duration(prediction.pipelined)} against {duration(prediction.sequential)}, "
            f"predicted {prediction.speed_up:.2f}x"
        )
    rows = (
        (
            str(pipeline.first + number),
            _step(stage, "convolution"),
            _step(stage, "vector"),
            f"barrier {pipeline.first + number}",
        )
        for number, stage in enumerate(pipeline.stages)
    )
    terminal.say(heading)
    terminal.show(pipeline.operator.name, _COLUMNS, rows)


def _step(stage: Stage, engine: Engine) -> str:
    """Which tile of what runs on an engine: its rows of the result, and those they are computed from."""
    for step in stage.steps:
        if step.engine == engine:
            rows = "{}:{}".format(*step.rows)
            if step.part == "epilogue":
                return f"add({step.tile}) {rows}"
            above, below = step.padding_rows
            padding = f" +{above}+{below}" if above or below else ""
            return f"conv({step.tile}) {rows} of {'{}:{}'.format(*step.operand_rows)}{padding}"
    return ""


def _summary(report: PipelineReport) -> str:
    stages = sum(len(pipeline.stages) for pipeline in report.pipelines)
    overlapped = sum(len(stage.steps) > 1 for pipeline in report.pipelines for stage in pipeline.stages)
    text = f"{len(report.pipelines)} Conv + Add in {stages} stages, {overlapped} of them on both engines"
    if report.predictions:
        text += f"; predicted {report.speed_up:.2f}x over each convolution, then its Add"
    return text
