"""Whether a case's program computes what ONNX's reference evaluator computes."""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs
import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from frontends import import_model
from frontends.errors import ModelError
from shiftc.errors import ShiftcError
from tests.fuzz.case import Case
from tvm_passes.lowered import Lowered
from tvm_passes.lowering.context import LoweringError
from tvm_passes.pipeline import PassError, PipelineOptions, lower_module

Array = np.ndarray[Any, Any]
Run = Callable[[Lowered, Case, Sequence[Mapping[str, Array]]], "list[Array] | None"]
"""Runs a program on inputs of one run after the other, over one arena; the outputs of the last, or None where
it cannot be run here."""

TOLERANCE = 2e-4
"""Largest |difference| over largest |value|: Winograd's convolutions round more than a sum of products."""
FORMS_PAY = (
    "tvm_passes.lowering.winograd_plan.WORTH",
    "tvm_passes.lowering.grouped_winograd.WORTH",
    "tvm_passes.lowering.convolution.WORTH_PAIRING",
    "tvm_passes.convolution_cost.WORTH_PAIRING",
)
"""Shares of the direct form's time that other forms may take."""
MOST = 1e6
"""A model whose numbers grow beyond is no case: rounding is all that would be compared."""


class WrongError(Exception):
    """The program is not right; the message says how."""


@attrs.define
class Clock:
    """Seconds by what they went to, and how often."""

    seconds: Counter[str] = attrs.field(factory=Counter)
    times: Counter[str] = attrs.field(factory=Counter)

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Counts the time of what is done inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started
            self.times[name] += 1


@attrs.frozen
class Verdict:
    """What became of a case: `right`, `not run`, `refused` with the reason, or `no case`."""

    kind: str
    reason: str = ""


@attrs.frozen(eq=False)
class Trial:
    """A case with its program, its inputs of two runs, and what the second should give."""

    case: Case
    inputs: Sequence[Mapping[str, Array]]
    expected: Sequence[Array]
    lowered: Lowered


def judge(case: Case, run: Run, clock: Clock, name: str) -> Verdict:
    """Plans the case and runs it; `name` is what the run's time counts as. Raises WrongError."""
    trial = prepared(case, clock)
    return trial if isinstance(trial, Verdict) else held(trial, run, clock, name)


def prepared(case: Case, clock: Clock) -> Trial | Verdict:
    """The case, planned; or `refused`, or `no case`. Raises WrongError where planning fails otherwise."""
    with clock.measured("judge"):
        inputs = [case.inputs(0), case.inputs(1)]
        expected = _expected(case.model, inputs[1])
    if expected is None or not all(
        np.isfinite(want).all() and np.abs(want).max(initial=0) < MOST for want in expected
    ):
        return Verdict("no case")
    try:
        return Trial(case, inputs, expected, plan(case, clock))
    except (ModelError, LoweringError) as error:
        return _refused(error)
    except (
        PassError,
        ShiftcError,
        ValueError,
        AssertionError,
        KeyError,
        IndexError,
        TypeError,
        RuntimeError,
    ) as error:
        raise WrongError(f"{type(error).__name__}: {error}") from error


def held(trial: Trial, run: Run, clock: Clock, name: str) -> Verdict:
    """What one way of running the program shows. Raises WrongError."""
    try:
        with clock.measured(name):
            outputs = run(trial.lowered, trial.case, trial.inputs)
    except LoweringError as error:
        return _refused(error)
    if outputs is None:
        return Verdict("not run")
    with clock.measured("judge"):
        problem = _difference(outputs, trial.expected)
        if problem is not None:
            other = _difference(outputs, _second_opinion(trial.case.model, trial.inputs[1]))
            if other is not None:
                raise WrongError(problem)
    return Verdict("right")


def _refused(error: Exception) -> Verdict:
    return Verdict("refused", f"{type(error).__name__}: {error}")


def plan(case: Case, clock: Clock) -> Lowered:
    """The case's program."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file, clock.measured("import"):
        file.write(case.model.SerializeToString())
        file.flush()
        if case.plan.simplified:
            imported = import_model(Path(file.name))
        else:
            with patch("frontends.load.simplify", lambda model, _: model):
                imported = import_model(Path(file.name))
    options = PipelineOptions(
        threads=case.plan.threads,
        opt_level=case.plan.level,
        winograd=case.plan.forms != "never",
        pairing=case.plan.forms != "never",
        tiling=case.plan.tiling,
        node_of_var=imported.node_of_var,
    )
    with ExitStack() as patches, clock.measured("plan"):
        patches.enter_context(patch("tvm_passes.lower.threads_pay", lambda *_: True))
        for limit in FORMS_PAY if case.plan.forms == "always" else ():
            patches.enter_context(patch(limit, math.inf))
        return lower_module(imported.module, case.plan.target, options)


def _expected(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array] | None:
    """By the reference evaluator; by onnxruntime what that cannot evaluate (negative pads, say).

    None where neither can: onnxruntime miscounts some windows, and then refuses what reads them.
    """
    with suppress(Exception), np.errstate(all="ignore"):  # whatever numpy raises
        return [np.asarray(out) for out in ReferenceEvaluator(model).run(None, dict(inputs))]
    with suppress(Exception):  # onnxruntime's have no common class
        return _second_opinion(model, inputs)
    return None


def _second_opinion(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(inputs)))


def _difference(outputs: Sequence[Array], expected: Sequence[Array]) -> str | None:
    """What differs by more than rounding; None if nothing does."""
    for number, (got, want) in enumerate(zip(outputs, expected, strict=True)):
        if got.shape != want.shape:
            return f"output {number} has shape {got.shape}, not {want.shape}"
        scale = float(np.abs(want).max(initial=0)) or 1.0
        # Infinities that are the same differ by nothing.
        with np.errstate(invalid="ignore"):
            error = np.abs(np.where(got == want, 0.0, got.astype(np.float64) - want))
        if not (error <= TOLERANCE * scale).all():
            wrong = int((~(error <= TOLERANCE * scale)).sum())
            size = f"by {error.max():.3g} of {scale:.3g}"
            return f"output {number}: {wrong} of {want.size} elements are off, {size}"
    return None
