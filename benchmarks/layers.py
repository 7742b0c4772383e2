"""Times single layers that are rare in the zoo's networks, beside onnxruntime, on one thread.

    python -m benchmarks.layers                      # all of them
    python -m benchmarks.layers --layers 2x2 float16 # those whose name holds one of these

Each is a model of its own, so the layout of its input and output and the call from Python are in its time, as
they are in onnxruntime's. Both take turns in one process; what counts is the fastest turn. Prints a table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from benchmarks.layer_models import convolution, layer, transposed
from shiftc.bench.contestants import OURS, REFERENCE, load_contestants
from shiftc.bench.lookout import lookout
from shiftc.bench.peer import find_peer
from shiftc.bench.pinning import on_one_core
from shiftc.bench.turns import time_in_turns
from shiftc.build import build_program
from shiftc.options import ModelOptions, PassOptions

Make = Callable[[], onnx.ModelProto]

_ROUNDS = 200


def _bilinear(channels: int, plane: int) -> onnx.ModelProto:
    scales = np.array([1, 1, 2, 2], np.float32)
    shape = (1, channels, plane, plane)
    return layer("Resize", shape, (), (None, scales), activation="Relu", mode="linear")


def _depthwise(channels: int, kernel: int, plane: int) -> onnx.ModelProto:
    return convolution(channels, channels, (kernel, kernel), (plane, plane), channels)


LAYERS: Mapping[str, Make] = {
    "ConvTranspose 2x2/2, 64 to 32, 40": lambda: transposed(64, 32, 2, 40),
    "ConvTranspose 2x2/2, 128 to 64, 28": lambda: transposed(128, 64, 2, 28),
    "ConvTranspose 4x4/2, 64 to 32, 28": lambda: transposed(64, 32, 4, 28),
    "ConvTranspose 4x4/2, 128 to 64, 28": lambda: transposed(128, 64, 4, 28),
    "bilinear x2, 64, 28": lambda: _bilinear(64, 28),
    "bilinear x2, 32, 56": lambda: _bilinear(32, 56),
    "float16 3x3, 64, 28": lambda: convolution(64, 64, (3, 3), (28, 28), element=TensorProto.FLOAT16),
    "float16 3x3, 64, 56": lambda: convolution(64, 64, (3, 3), (56, 56), element=TensorProto.FLOAT16),
    **{
        f"depthwise {k}x{k}, {channels}, {plane}": partial(_depthwise, channels, k, plane)
        for k in (7, 13, 21, 31)
        for channels, plane in ((64, 56), (256, 14))
    },
}


def main(arguments: list[str] | None = None) -> int:
    """Times the layers that the command line asks for."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--layers", nargs="+", metavar="PART", help="parts of names (all layers)")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"turns of each runtime ({_ROUNDS})")
    chosen = parser.parse_args(arguments)
    print("| layer | shiftc, ms | onnxruntime, ms | ratio | error |\n|---|---|---|---|---|")
    for name, make in LAYERS.items():
        if chosen.layers is None or any(part in name for part in chosen.layers):
            print(row(name, make(), chosen.rounds), flush=True)
    return 0


def row(name: str, model: onnx.ModelProto, rounds: int) -> str:
    """The table's row of a layer: compiles, loads and times it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(model, path)
        options = ModelOptions(path)
        program = build_program(options, PassOptions())
        contestants = load_contestants(program, options, [find_peer(REFERENCE)], Path(folder))
    if contestants.failures:
        return f"| {name} | | {contestants.failures[REFERENCE]} | | |"
    with on_one_core(threads=1):
        measured = time_in_turns(contestants.runnables, rounds, lookout(threads=1))
    ours, theirs = (min(measured.seconds[runtime]) for runtime in (OURS, REFERENCE))
    error = contestants.error(OURS)
    return f"| {name} | {1e3 * ours:.3f} | {1e3 * theirs:.3f} | {ours / theirs:.2f} | {error:.1e} |"


if __name__ == "__main__":
    sys.exit(main())
