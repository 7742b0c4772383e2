"""Checks of an exported file: it holds nothing local, loads everywhere and computes what PyTorch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import onnxslim
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from definitions.catalogue import CATALOGUE, Model, example_inputs, randomize

Array = NDArray[Any]

TOLERANCE = 1e-5
LARGEST_FILE = 1_000_000


class ModelError(Exception):
    """A file was written but is not what it should be."""


class Shift(OpRun):  # type: ignore[misc]
    """The custom operator, for onnx's reference evaluator; independent of the PyTorch definitions."""

    op_domain = "shiftc"

    def _run(
        self,
        x: Array,
        offsets: Array | None = None,
        kernel_size: int | None = None,
        dilation: int | None = None,
        layout: str | None = None,
    ) -> tuple[Array]:
        channels, height, width = x.shape[1:]
        if offsets is None:
            if kernel_size is None or dilation is None:
                raise ModelError("Shift without offsets needs kernel_size and dilation")
            size, half = channels // kernel_size**2, kernel_size // 2
            index = np.arange(channels)
            tap = index // size if layout == "grouped" else index % kernel_size**2
            tap = np.where(index < size * kernel_size**2, tap, half * kernel_size + half)
            offsets = dilation * (np.stack(divmod(tap, kernel_size), axis=1) - half)
        y = np.zeros_like(x)
        for channel, (dy, dx) in enumerate(offsets):
            top, bottom = max(0, -dy), min(height, height - dy)
            left, right = max(0, -dx), min(width, width - dx)
            y[:, channel, top:bottom, left:right] = x[
                :, channel, top + dy : bottom + dy, left + dx : right + dx
            ]
        return (y,)


def run(proto: onnx.ModelProto, feeds: dict[str, Array], custom_op: bool) -> list[Array]:
    """Outputs of the model in onnxruntime, or the reference evaluator where onnxruntime can't."""
    if custom_op:
        return list(ReferenceEvaluator(proto, new_ops=[Shift]).run(None, feeds))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def evaluate(model: Model) -> list[Array]:
    """Outputs of the PyTorch module (of the one it equals, if there is one) for the example inputs."""
    build = next((twin.build for twin in CATALOGUE if twin.name == model.same_as), model.build)
    with torch.no_grad():
        result = randomize(build())(*example_inputs(model).values())
    return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]


def verify(model: Model, path: Path) -> float:
    """Check the file against PyTorch, as exported and after onnxslim.

    Returns the largest error relative to the largest reference value. Raises ModelError.
    """
    data = path.read_bytes()
    if len(data) > LARGEST_FILE:
        raise ModelError(f"{path.name}: {len(data)} bytes, more than {LARGEST_FILE}")
    for trace in (
        b"site-packages",
        str(Path(__file__).resolve().parent).encode(),
        str(Path.home()).encode() + b"/",
    ):
        if trace in data:
            raise ModelError(f"{path.name}: holds the local path {trace.decode()!r}")
    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto, full_check=not model.custom_op)
    expected = evaluate(model)
    feeds = {name: tensor.numpy() for name, tensor in example_inputs(model).items()}
    worst = 0.0
    for variant in (proto, onnxslim.slim(onnx.load_from_string(data))):
        if [value.name for value in variant.graph.output] != list(model.outputs):
            raise ModelError(f"{path.name}: outputs are not {model.outputs}")
        actual = run(variant, feeds, model.custom_op)
        for name, want, got in zip(model.outputs, expected, actual, strict=True):
            if want.shape != got.shape:
                raise ModelError(f"{path.name}: {name} is {got.shape}, PyTorch's {want.shape}")
            error = float(np.abs(want - got).max() / np.abs(want).max())
            if not error <= TOLERANCE:
                raise ModelError(f"{path.name}: {name} is off by {error:.1e} relative")
            worst = max(worst, error)
    return worst
