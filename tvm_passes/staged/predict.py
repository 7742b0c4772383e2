"""How long a residual convolution takes as a pipeline and as convolution, then Add, for given engines.

A stage takes as long as the longer of its steps, the pipeline the sum of its stages. Without the pipeline all
steps run one after the other. What a barrier costs is not counted, nor is memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
from attrs import validators

from .program import Operator, Stage, StagedProgram, Step


@attrs.frozen
class EngineRates:
    """FLOP/s of the convolution engine (a multiply-add is two) and of the vector engine."""

    convolution: float = attrs.field(validator=validators.gt(0))
    vector: float = attrs.field(validator=validators.gt(0))


@attrs.frozen
class Pipeline:
    """The stages of one residual convolution; first: number of the first one in the program."""

    operator: Operator
    first: int
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> Iterator[Step]:
        return (step for stage in self.stages for step in stage.steps)

    @property
    def tiles(self) -> int:
        return 1 + max(step.tile for step in self.steps)


@attrs.frozen
class Interval:
    """When a step runs, in seconds from the pipeline's start."""

    step: Step
    start: float
    stop: float


@attrs.frozen
class Prediction:
    """intervals: in the order of the steps; sequential: seconds of the same steps one after the other."""

    pipeline: Pipeline
    intervals: tuple[Interval, ...]
    barriers: tuple[float, ...]
    sequential: float

    @property
    def pipelined(self) -> float:
        return self.barriers[-1]

    @property
    def speed_up(self) -> float:
        return self.sequential / self.pipelined


def pipelines(program: StagedProgram) -> list[Pipeline]:
    """The pipelines of a program, in order."""
    found: dict[str, list[int]] = {}
    for number, stage in enumerate(program.stages):
        if stage.steps[0].part != "whole":
            found.setdefault(stage.steps[0].operator, []).append(number)
    return [
        Pipeline(program.operator(name), numbers[0], tuple(program.stages[n] for n in numbers))
        for name, numbers in found.items()
    ]


def predict(program: StagedProgram, pipeline: Pipeline, rates: EngineRates) -> Prediction:
    """What a pipeline takes on engines of these rates."""
    now, sequential = 0.0, 0.0
    intervals, barriers = list[Interval](), list[float]()
    for stage in pipeline.stages:
        took = [flops(program, step) / getattr(rates, step.engine) for step in stage.steps]
        intervals += [
            Interval(step, now, now + seconds) for step, seconds in zip(stage.steps, took, strict=True)
        ]
        now += max(took)
        sequential += sum(took)
        barriers.append(now)
    return Prediction(pipeline, tuple(intervals), tuple(barriers), sequential)


def flops(program: StagedProgram, step: Step) -> int:
    """What a step of a pipeline computes.

    A convolution's own epilogue is part of its store and counts nothing; a step of the vector engine counts
    one operation an element.
    """
    operator = program.operator(step.operator)
    batch, channels, _, width = program.shape(operator.output)
    elements = batch * channels * (step.rows[1] - step.rows[0]) * width
    if step.part == "epilogue":
        return elements * (len(operator.epilogue) - operator.split)
    if operator.weight is None:
        raise ValueError(f"{operator.name} is no step of a pipeline")
    return 2 * elements * math.prod(program.buffer(operator.weight).shape[1:])
