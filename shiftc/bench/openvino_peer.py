"""OpenVINO's CPU plug-in in single precision, tuned for latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from shiftc.bench.peer import Inputs, PeerModel, Runner


def load(model: PeerModel, threads: int) -> Runner:
    """Dynamic inputs are reshaped to the signature; inputs and outputs are shared, not copied."""
    core = openvino.Core()
    network = core.read_model(str(model.path))
    network.reshape({spec.name: list(spec.shape) for spec in model.imported.signature.inputs})
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    outputs = range(len(network.outputs))

    def run(inputs: Inputs) -> list[npt.NDArray[Any]]:
        request.infer(dict(inputs), share_inputs=True)
        return [np.asarray(request.get_output_tensor(index).data) for index in outputs]

    return run
