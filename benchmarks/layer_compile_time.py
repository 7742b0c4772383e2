"""How long single layers of extreme shapes take to compile: none should take more than ten seconds.

    python -m benchmarks.layer_compile_time                    # all of them
    python -m benchmarks.layer_compile_time --layers depthwise # those whose name holds this

Each is compiled in a process of its own, without kernels of earlier compilations, for two threads. Prints
processor seconds of all threads, which the load of the machine changes little, and the slowest at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from benchmarks.layer_models import convolution, layer, transposed
from shiftc.build import build_program
from shiftc.options import ModelOptions, PassOptions

Make = Callable[[], onnx.ModelProto]

_BOUND = 10.0
"""Processor seconds."""
_LIMIT = 300.0
"""Seconds after which a compilation is ended."""
_SLOWEST = 10


def _pool(operator: str, kernel: int, plane: int, channels: int = 32, **rest: object) -> onnx.ModelProto:
    given = {"kernel_shape": [kernel, kernel], "pads": [kernel // 2] * 4, **rest}
    return layer(operator, (1, channels, plane, plane), **given)  # type: ignore[arg-type]


def _depthwise(kernel: tuple[int, int], plane: int, channels: int = 32, **rest: object) -> onnx.ModelProto:
    return convolution(channels, channels, kernel, (plane, plane), channels, **rest)


def _indices(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


LAYERS: Mapping[str, Make] = {
    **{
        f"depthwise {k}x{k}, {p}": partial(_depthwise, (k, k), p) for k in (5, 7, 15, 31, 51) for p in (7, 56)
    },
    "depthwise 1x31": partial(_depthwise, (1, 31), 40),
    "depthwise 51x5": partial(_depthwise, (51, 5), 56),
    "depthwise 5x51": partial(_depthwise, (5, 51), 56),
    "depthwise 13x13, dilated 3": partial(_depthwise, (13, 13), 56, dilations=[3, 3], pads=[18] * 4),
    "depthwise 21x21, stride 2": partial(_depthwise, (21, 21), 57, strides=[2, 2]),
    "depthwise 3x3, 4096 channels": partial(_depthwise, (3, 3), 14, 4096),
    "depthwise 3x3, 512 x 512": partial(_depthwise, (3, 3), 512),
    "dense 11x11": partial(convolution, 32, 32, (11, 11), (28, 28)),
    "dense 21x21": partial(convolution, 16, 16, (21, 21), (28, 28)),
    "dense 31x31 of an image": partial(convolution, 3, 16, (31, 31), (96, 96)),
    "dense 1x31": partial(convolution, 32, 32, (1, 31), (28, 28)),
    "dense 3x3, dilated 12": partial(
        convolution, 64, 64, (3, 3), (56, 56), dilations=[12, 12], pads=[12] * 4
    ),
    "dense 3x3, 2048 channels": partial(convolution, 2048, 512, (3, 3), (7, 7)),
    "dense 3x3, 512 x 512": partial(convolution, 16, 16, (3, 3), (512, 512)),
    "dense 3x3, one pixel": partial(convolution, 64, 64, (3, 3), (1, 1)),
    "dense 3x3, odd channels": partial(convolution, 37, 53, (3, 3), (29, 31)),
    "pointwise, 4096 channels": partial(convolution, 4096, 1024, (1, 1), (7, 7)),
    "pointwise, 512 x 512": partial(convolution, 32, 32, (1, 1), (512, 512)),
    "grouped 3x3, 64 groups of 1 to 4": partial(convolution, 64, 256, (3, 3), (28, 28), 64),
    "grouped 3x3, 128 groups of 4": partial(convolution, 512, 512, (3, 3), (14, 14), 128),
    "grouped 3x3, 7 groups of 5": partial(convolution, 35, 35, (3, 3), (28, 28), 7),
    "grouped 7x7, 32 groups": partial(convolution, 256, 256, (7, 7), (28, 28), 32),
    "grouped 5x5, 341 groups of 3": partial(convolution, 1023, 1023, (5, 5), (7, 7), 341),
    "transposed 2x2": partial(transposed, 64, 32, 2, 56),
    "transposed 16x16, stride 8": partial(transposed, 21, 21, 16, 28, strides=[8, 8], pads=[4] * 4),
    "transposed 16x16, stride 8, depthwise": partial(
        transposed, 21, 21, 16, 28, 21, strides=[8, 8], pads=[4] * 4
    ),
    "transposed 64x64, stride 32": partial(transposed, 21, 21, 64, 8, strides=[32, 32], pads=[16] * 4),
    "transposed 4x4, groups": partial(transposed, 64, 64, 4, 28, 4),
    **{
        f"{kind} {k}x{k}": partial(_pool, kind, k, 56)
        for kind in ("MaxPool", "AveragePool")
        for k in (3, 13, 31)
    },
    "AveragePool 55x55": partial(_pool, "AveragePool", 55, 56, pads=[0] * 4),
    "MaxPool, 512 x 512": partial(_pool, "MaxPool", 3, 512, strides=[2, 2]),
    "GlobalAveragePool, 512 x 512": partial(layer, "GlobalAveragePool", (1, 32, 512, 512)),
    "Softmax, 21841": partial(layer, "Softmax", (1, 21841)),
    "Softmax over 1000 channels": partial(layer, "Softmax", (1, 1000, 56, 56), axis=1),
    "LayerNormalization, 4096": partial(layer, "LayerNormalization", (1, 196, 4096), [(4096,), (4096,)]),
    "LRN": partial(layer, "LRN", (1, 96, 55, 55), size=5),
    "InstanceNormalization, 512 x 512": partial(
        layer, "InstanceNormalization", (1, 32, 512, 512), [(32,), (32,)]
    ),
    "MatMul 4096": partial(layer, "MatMul", (1, 4096), [(4096, 4096)]),
    "Gemm to 21841": partial(layer, "Gemm", (1, 2048), [(2048, 21841)]),
    "Relu, 1024 x 1024": partial(layer, "Relu", (1, 16, 1024, 1024)),
    "Transpose, 512 x 512": partial(layer, "Transpose", (1, 16, 512, 512), perm=[0, 2, 3, 1]),
    "Gather of 50000 rows": partial(layer, "Gather", (60000, 16), (), [np.arange(50000)[::-1].copy()]),
    "Gather of channels": partial(
        layer, "Gather", (1, 1024, 28, 28), (), [np.arange(1024)[::-1].copy()], axis=1
    ),
    "DepthToSpace": partial(layer, "DepthToSpace", (1, 256, 128, 128), blocksize=4),
    "Pad, reflecting": partial(
        layer, "Pad", (1, 64, 256, 256), (), [_indices(0, 0, 3, 3, 0, 0, 3, 3)], mode="reflect"
    ),
    "ReduceSum over all": partial(layer, "ReduceSum", (1, 64, 256, 256), keepdims=0),
    "Resize to 3 x": partial(
        layer, "Resize", (1, 32, 96, 96), (), (None, np.array([1, 1, 3, 3], np.float32)), mode="cubic"
    ),
    "Split into 64": partial(layer, "Split", (1, 512, 28, 28), outputs=64, axis=1),
    "TopK": partial(layer, "TopK", (1, 100000), (), [_indices(1000)], outputs=2),
    "Conv over one axis": partial(layer, "Conv", (1, 64, 16000), [(64, 64, 9)], pads=[4, 4]),
    "Conv over three axes": partial(layer, "Conv", (1, 16, 16, 56, 56), [(32, 16, 3, 3, 3)], pads=[1] * 6),
}


def main(arguments: list[str] | None = None) -> int:
    """Compiles the layers that the command line asks for; 1 if one takes longer than the bound."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--layers", nargs="+", metavar="PART", help="parts of names (all layers)")
    parser.add_argument("--one", choices=LAYERS, help="compile this one here, and print its seconds alone")
    chosen = parser.parse_args(arguments)
    if chosen.one is not None:
        print(compile_seconds(LAYERS[chosen.one]()))
        return 0
    found: dict[str, float] = {}
    for name in LAYERS:
        if chosen.layers is None or any(part in name for part in chosen.layers):
            found[name], reason = _in_a_process(name)
            print(f"{found[name]:6.1f}  {name}{reason}", flush=True)
    slowest = sorted(found, key=lambda name: -found[name])[:_SLOWEST]
    print("slowest:", ", ".join(f"{name} {found[name]:.1f}" for name in slowest))
    return int(any(seconds > _BOUND for seconds in found.values()))


def compile_seconds(model: onnx.ModelProto) -> float:
    """Processor seconds of importing the model and compiling it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(model, path)
        started = time.process_time()
        build_program(ModelOptions(path, threads=2), PassOptions(cache=False))
        return time.process_time() - started


def _in_a_process(name: str) -> tuple[float, str]:
    """Its seconds, or how many it was given, and why it did not end by itself."""
    command = [sys.executable, "-m", "benchmarks.layer_compile_time", "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return _LIMIT, ": not within the limit"
    if done.returncode:
        return 0.0, f": {(done.stderr.strip().splitlines() or ['failed'])[-1]}"
    return float(done.stdout.split()[-1]), ""


if __name__ == "__main__":
    sys.exit(main())
