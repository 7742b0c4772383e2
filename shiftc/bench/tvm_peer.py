"""Plain TVM: the same Relax module through its default pipeline, no schedule of ours."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import tvm
from tvm import relax

from shiftc.bench.peer import Inputs, PeerModel, Runner
from shiftc.target import parse_target


def load(model: PeerModel, threads: int) -> Runner:
    """TVM's default CPU pipeline makes no parallel loop, whatever `threads` says."""
    executable = tvm.compile(model.imported.module, target=parse_target(model.target))
    machine = relax.VirtualMachine(executable, tvm.cpu())
    names = [spec.name for spec in model.imported.signature.inputs]

    def run(inputs: Inputs) -> list[npt.NDArray[Any]]:
        outputs = machine["main"](*(tvm.runtime.tensor(inputs[name]) for name in names))
        tensors = [outputs] if hasattr(outputs, "numpy") else list(outputs)
        return [tensor.numpy() for tensor in tensors]

    return run
