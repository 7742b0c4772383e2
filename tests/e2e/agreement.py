"""Compile a model to an artifact, run it without the compiler's help, and compare with onnxruntime.

An artifact for a target that this machine does not execute is written, and its program interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import numpy as np
import onnxruntime
from tvm.target import Target

import frontends
import shiftc
from shiftc.artifact import read_manifest
from shiftc.driver import compile_model
from shiftc.manifest import Manifest
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from tests.machines import TARGET, as_text, executes, plans
from tvm_passes.interpret import run_program

TOLERANCE = 1e-4
"""Largest |difference| over largest |reference| for float32."""

_PROTOBUF_LIMIT = 2**31 - 1


@attrs.frozen
class Agreement:
    """error: largest |difference| / largest |reference| over all outputs; manifest: what was compiled."""

    error: float
    manifest: Manifest
    artifact: Path


def agreement(
    model: Path,
    folder: Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    target: Target = TARGET,
    threads: int = 1,
    passes: PassOptions | None = None,
    seed: int = 0,
) -> Agreement:
    """Compile `model` into `folder` and compare all outputs on random inputs."""
    options = ModelOptions(model, target=as_text(target), input_shapes=input_shapes or {}, threads=threads)
    artifact = folder / "artifact"
    with plans() as lowered:
        compile_model(CompileOptions(options, artifact, passes or PassOptions()))
    signature = read_manifest(artifact).signature
    inputs = random_inputs(signature, seed)
    if executes(target):
        outputs = shiftc.load(artifact).run(inputs)
    else:
        arrays = run_program(lowered[-1], [inputs[spec.name] for spec in signature.inputs])
        outputs = dict(zip((spec.name for spec in signature.outputs), arrays, strict=True))
    expected = reference(model, input_shapes or {}, inputs)
    assert outputs.keys() == expected.keys()
    error = max(relative_error(outputs[name], expected[name]) for name in expected)
    return Agreement(error, read_manifest(artifact), artifact)


def random_inputs(signature: object, seed: int) -> dict[str, np.ndarray]:
    """Normal floats, small integers."""
    generator = np.random.default_rng(seed)
    inputs = {}
    for spec in signature.inputs:  # type: ignore[attr-defined]
        if np.issubdtype(np.dtype(spec.dtype), np.floating):
            inputs[spec.name] = generator.standard_normal(spec.shape).astype(spec.dtype)
        else:
            inputs[spec.name] = generator.integers(0, 2, spec.shape).astype(spec.dtype)
    return inputs


def reference(
    model: Path, input_shapes: Mapping[str, tuple[int, ...]], inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What onnxruntime computes; custom shift operators are written out first, by the frontend."""
    plain = frontends.load_model(model, frontends.ImportOptions(input_shapes=input_shapes))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        plain.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest |difference| over largest |expected|; infinite for another shape, type or a NaN."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return float("inf")
    if expected.size == 0:
        return 0.0
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max()
    scale = np.abs(expected.astype(np.float64)).max() or 1.0
    return float(difference / scale) if np.isfinite(difference) else float("inf")
