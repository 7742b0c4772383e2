"""A program small enough to check by hand, in place of a compiled network: `y = 2 x + bias`.

Step 0 writes `2 x` into the arena, step 1 (a parallel loop) adds the bias from the constants.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from shiftc.artifact import write_artifact
from shiftc.linker import linker_for
from shiftc.manifest import KernelEntry, Manifest, Signature, TensorSpec, Versions
from shiftc.target import describe_target, machine_of, parse_target, required_features

ROWS, COLUMNS = 4, 16
ARENA_BYTES = ROWS * COLUMNS * 4
BIAS = np.arange(COLUMNS, dtype=np.float32)


@T.prim_func(s_tir=True)
def _program(
    arena: T.Buffer((ARENA_BYTES,), "uint8"),
    constants: T.Buffer((COLUMNS * 4,), "uint8"),
    x: T.Buffer((ROWS, COLUMNS), "float32"),
    y: T.Buffer((ROWS, COLUMNS), "float32"),
    first: T.int32,
    last: T.int32,
) -> None:
    T.func_attr({"global_symbol": "main", "tirx.noalias": True})
    doubled = T.decl_buffer((ROWS * COLUMNS,), "float32", data=arena.data)
    bias = T.decl_buffer((COLUMNS,), "float32", data=constants.data)
    if first <= 0 and last > 0:
        for i, j in T.grid(ROWS, COLUMNS):
            doubled[i * COLUMNS + j] = x[i, j] * T.float32(2)
    if first <= 1 and last > 1:
        for i in T.parallel(ROWS):
            for j in range(COLUMNS):
                y[i, j] = doubled[i * COLUMNS + j] + bias[j]


@attrs.frozen
class Tiny:
    """The program as the compiler would hand it over."""

    library: Any
    constants: np.ndarray
    manifest: Manifest

    def write(self, path: Path, **changes: Any) -> Manifest:
        """Writes it as an artifact, its manifest changed as asked."""
        link = linker_for(self.manifest.machine)

        def export(file: str) -> None:
            self.library.export_library(file, fcompile=link)

        return write_artifact(path, attrs.evolve(self.manifest, **changes), self.constants, export)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    target = parse_target("host")
    library = tvm.compile(tvm.IRModule({"main": _program}), target=target)
    manifest = Manifest(
        model="tiny.onnx",
        signature=Signature(
            inputs=(TensorSpec("x", (ROWS, COLUMNS), "float32"),),
            outputs=(TensorSpec("y", (ROWS, COLUMNS), "float32"),),
        ),
        target=describe_target(target),
        machine=machine_of(target),
        cpu_features=required_features(target),
        threads=1,
        arena_bytes=ARENA_BYTES,
        arena_lower_bound_bytes=ARENA_BYTES,
        pruned_macs=0,
        kernels=(
            KernelEntry("double", "elementwise", False, 0, 2 * ARENA_BYTES, "Mul_0"),
            KernelEntry("bias", "elementwise", False, 0, 2 * ARENA_BYTES, "Add_1"),
        ),
        index_maps=(
            {
                "nodes": ["Shift_0"],
                "channels": 16,
                "offsets": "(-1,0) x 16",
                "border": "zero",
                "folded": True,
                "reason": None,
            },
        ),
        versions=Versions.installed(),
    )
    return Tiny(library, BIAS.view(np.uint8), manifest)


@pytest.fixture(scope="session")
def artifact(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny program as an artifact; tests do not change it."""
    path = tmp_path_factory.mktemp("artifacts") / "tiny"
    tiny.write(path)
    return path


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)


@pytest.fixture
def expected(x: np.ndarray) -> np.ndarray:
    return 2 * x + BIAS
