"""What each verb is asked to do, as frozen classes; the command line and Python callers fill in the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs
from attrs import validators

FillMode = Literal["random", "zeros", "ones"]

SHIPPED_RECORDS = Path(__file__).parents[1] / "tuning_logs"
"""Beside the package, in the project's folder and where it is installed: records by machine."""

_at_least_one = validators.ge(1)
_if_given = validators.optional(_at_least_one)


@attrs.frozen
class ModelOptions:
    """Which model, for what.

    model:           path of the ONNX file.
    target:          `host`, TVM's JSON, or `llvm -mcpu=…`.
    input_shapes:    shapes of inputs that the model leaves dynamic, and sizes of dimensions, by name.
    threads:         threads the program is scheduled for.
    shift_operators: further (domain, operator) names that are read as the shift operator.
    tuning_records:  folder of the records that kernels follow; None for the analytic defaults alone.
    """

    model: Path
    target: str = "host"
    input_shapes: Mapping[str, tuple[int, ...] | int] = attrs.field(factory=dict)
    threads: int = attrs.field(default=1, validator=_at_least_one)
    shift_operators: tuple[tuple[str, str], ...] = ()
    tuning_records: Path | None = SHIPPED_RECORDS


@attrs.frozen
class PassOptions:
    """How the passes run.

    level:     0 (as imported) to 3 (everything).
    disabled:  names of passes to leave out.
    verify:    run the module before and after every pass and compare.
    verify_program: interpret the planned program, every access checked, and compare.
    dump_ir:   folder that receives the module after every pass.
    winograd:  3 x 3 convolutions may take Winograd's form, at level 3.
    pairing:   products may be paired, at level 3.
    chain:     most stages of a chain that is computed tile by tile, at level 3; None: as many as pay.
    h_tiles:   in how many tiles of rows; None: as many as pay.
    max_memory: bytes that the workspace may take; None: any.
    force_chains: chains are as long as they can be, whatever they cost: for measurements.
    cache:     object code of kernels is kept between compilations; what is compiled is the same either way.
    cache_dir: where; None: see `shiftc.kernel_cache.default_folder`.
    """

    level: int = attrs.field(default=3, validator=[validators.ge(0), validators.le(3)])
    disabled: tuple[str, ...] = ()
    verify: bool = False
    verify_program: bool = False
    dump_ir: Path | None = None
    winograd: bool = True
    pairing: bool = True
    chain: int | None = attrs.field(default=None, validator=_if_given)
    h_tiles: int | None = attrs.field(default=None, validator=_if_given)
    max_memory: int | None = attrs.field(default=None, validator=_if_given)
    force_chains: bool = False
    cache: bool = True
    cache_dir: Path | None = None


@attrs.frozen
class CompileOptions:
    """output: the directory that becomes the artifact; an older artifact there is replaced.

    emit_stages: the file that receives the staged program as JSON, its weights beside it.
    """

    model: ModelOptions
    output: Path
    passes: PassOptions = attrs.field(factory=PassOptions)
    emit_stages: Path | None = None


@attrs.frozen
class RunOptions:
    """affinity: a core for each thread, or none.

    inputs and outputs are .npz files; without inputs, `fill_mode` makes them up, from `seed`.

    repeat, number: time `repeat` averages of `number` calls each; repeat 0 does not time.
    """

    artifact: Path
    inputs: Path | None = None
    outputs: Path | None = None
    fill_mode: FillMode = "random"
    seed: int = 0
    repeat: int = attrs.field(default=0, validator=validators.ge(0))
    number: int = attrs.field(default=1, validator=_at_least_one)
    affinity: tuple[int, ...] = ()


@attrs.frozen
class BenchOptions:
    """against: names of the peers; threads: one comparison for each count; rounds: timed turns of each.

    busy:         how many cores other processes keep busy meanwhile.
    back_to_back: calls of all runtimes follow each other without a pause.
    """

    model: ModelOptions
    against: tuple[str, ...] = ("onnxruntime",)
    threads: tuple[int, ...] = attrs.field(
        default=(1,), validator=validators.deep_iterable(_at_least_one, validators.min_len(1))
    )
    rounds: int = attrs.field(default=15, validator=_at_least_one)
    passes: PassOptions = attrs.field(factory=PassOptions)
    busy: int = attrs.field(default=0, validator=validators.ge(0))
    back_to_back: bool = False

    @property
    def is_contended(self) -> bool:
        """The machine is not left to the runtime that is timed."""
        return self.busy > 0 or self.back_to_back


@attrs.frozen
class InspectOptions:
    """path: a model, which is compiled but not written, or an artifact, which is only read."""

    model: ModelOptions

    @property
    def path(self) -> Path:
        return self.model.model


@attrs.frozen
class PipelineViewOptions:
    """h_tiles: of every residual convolution; None: a default.

    engine_rates: FLOP/s of the convolution and of the vector engine, for predictions.
    timeline:     SVG file that receives them as a drawing.
    emit_tir:     folder that receives every pipeline as TIR.
    """

    model: ModelOptions
    h_tiles: int | None = attrs.field(default=None, validator=_if_given)
    engine_rates: tuple[float, float] | None = None
    timeline: Path | None = None
    emit_tir: Path | None = None


@attrs.frozen
class TuneOptions:
    """models: for one target and one number of threads; output: None for `tuning_logs/<machine>`.

    trials:  candidates measured in all; minutes: for everything. With neither, a number for each workload.
    timeout: seconds a candidate may take to build and measure.
    """

    models: tuple[ModelOptions, ...] = attrs.field(validator=validators.min_len(1))
    output: Path | None = None
    trials: int | None = attrs.field(default=None, validator=_if_given)
    minutes: float | None = attrs.field(default=None, validator=validators.optional(validators.gt(0)))
    timeout: float = attrs.field(default=30.0, validator=validators.gt(0))
    seed: int = 0

    @property
    def target(self) -> str:
        return self.models[0].target


@attrs.frozen
class ZooOptions:
    """name: a network of the zoo; output: the ONNX file to write; weights are random, from `seed`."""

    name: str
    output: Path
    batch: int = attrs.field(default=1, validator=_at_least_one)
    seed: int = 0
