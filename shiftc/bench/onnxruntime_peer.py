"""onnxruntime's CPU provider; also the reference that errors are measured against."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import onnxruntime

from shiftc.bench.peer import Inputs, PeerModel, Runner


def load(model: PeerModel, threads: int) -> Runner:
    """All optimizations on, `threads` threads within an operator, operators one after the other."""
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> list[npt.NDArray[Any]]:
        return list(session.run(None, dict(inputs)))

    return run
