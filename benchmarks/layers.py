"""Times single layers that are rare in the zoo's networks, beside onnxruntime, on one thread.

    python -m benchmarks.layers                      # all of them
    python -m benchmarks.layers --layers 2x2 float16 # those whose name holds one of these

Each is a model of its own, so the layout of its input and output and the call from Python are in its time, as
they are in onnxruntime's. Writes `<machine>-layers.json` and a Markdown table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from benchmarks.command_line import add_rounds, as_json, plain_parser, results_path
from benchmarks.layer_models import convolution, layer, transposed
from benchmarks.markdown import DISTURBED_LEGEND, document, marked, percent, row
from benchmarks.results_file import Measurement, ResultsFile, now
from shiftc.bench.compare import compare
from shiftc.bench.contestants import OURS, REFERENCE
from shiftc.bench.machine import this_machine
from shiftc.options import BenchOptions, ModelOptions

Make = Callable[[], onnx.ModelProto]

KEY = ("layer",)
_ROUNDS = 30


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
    parser = plain_parser(__doc__)
    parser.add_argument("--layers", nargs="+", metavar="PART", help="parts of names (all layers)")
    add_rounds(parser, _ROUNDS)
    chosen = parser.parse_args(arguments)
    machine = this_machine()
    file = ResultsFile(results_path(chosen.results, machine, "host", "layers"), KEY)
    for name, make in LAYERS.items():
        if chosen.layers is None or any(part in name for part in chosen.layers):
            found = {"layer": name, **measure(make(), chosen.rounds), "time": now()}
            file.add(as_json(machine, "host"), [found], partial(table, f"Layers on {machine.processor}"))
            print(name, json.dumps(found), flush=True)
    return 0


def measure(model: onnx.ModelProto, rounds: int) -> Measurement:
    """The layer beside onnxruntime, as `shiftc bench` says it of one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(model, path)
        options = BenchOptions(ModelOptions(path), rounds=rounds, threads=(1,), against=(REFERENCE,))
        (comparison,) = compare(options).comparisons
    return comparison.as_json()


_COLUMNS = ("layer", "shiftc ms", "onnxruntime ms", "ratio", "of the floor", "error")


def table(title: str, measurements: Iterable[Measurement]) -> str:
    """Markdown: one row a layer."""
    text = [
        "One thread, batch 1, medians in turns. Ratio: shiftc's time over onnxruntime's, below 1 is faster.",
        "Floor: the layer's multiply-adds at the machine's measured peak.",
        DISTURBED_LEGEND,
    ]
    return document(title, text, _COLUMNS, map(_row, measurements))


def _row(m: Measurement) -> str:
    ours, theirs = (m["runtimes"][name] for name in (OURS, REFERENCE))
    if theirs["failure"]:
        return row([m["layer"], f"{ours['median_ms']:.3f}", theirs["failure"], "", "", ""])
    ratio = ours["median_ms"] / theirs["median_ms"]
    times = (f"{each['median_ms']:.3f}" for each in (ours, theirs))
    cells = [*times, f"{ratio:.2f}", percent(m["of_floor"]), f"{ours['error']:.1e}"]
    return row([marked(m["layer"], m), *cells])


if __name__ == "__main__":
    sys.exit(main())
