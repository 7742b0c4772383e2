"""Models written to disk, and what they compute: by plain TVM after import, and by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
import tvm
from numpy.typing import NDArray
from tvm import relax

from frontends import ImportedModel

Arrays = dict[str, NDArray[np.generic]]
Save = Callable[[onnx.ModelProto | str], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a model, given as a proto or in ONNX's text form, and returns its path."""

    def write(model: onnx.ModelProto | str) -> Path:
        path = tmp_path / "model.onnx"
        onnx.save(onnx.parser.parse_model(model) if isinstance(model, str) else model, path)
        return path

    return write


@pytest.fixture(scope="session")
def random_inputs() -> Callable[[ImportedModel], Arrays]:
    def draw(model: ImportedModel) -> Arrays:
        generator = np.random.default_rng(0)
        return {
            spec.name: generator.standard_normal(spec.shape).astype(spec.dtype)
            for spec in model.signature.inputs
        }

    return draw


@pytest.fixture(scope="session")
def run_tvm() -> Callable[[ImportedModel, Mapping[str, NDArray[np.generic]]], list[NDArray[np.generic]]]:
    def run(model: ImportedModel, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        executable = relax.build(model.module, target="llvm")
        machine = relax.VirtualMachine(executable, tvm.cpu())
        arguments = [tvm.runtime.tensor(inputs[spec.name]) for spec in model.signature.inputs]
        outputs = machine["main"](*arguments)
        return [outputs.numpy()] if hasattr(outputs, "numpy") else [output.numpy() for output in outputs]

    return run


@pytest.fixture(scope="session")
def run_onnxruntime() -> Callable[
    [onnx.ModelProto, Mapping[str, NDArray[np.generic]]], list[NDArray[np.generic]]
]:
    def run(model: onnx.ModelProto, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(inputs)))

    return run
