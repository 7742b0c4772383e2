"""A program small enough to check by hand, in place of a compiled network: `y = 2 x + bias`.

Step 0 writes `2 x` into the arena, step 1 (a parallel loop) adds the bias from the constants. Its rival, of
the same sizes, computes `y = 3 x + bias`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from shiftc.artifact_writer import write_artifact
from shiftc.linker import linker_for
from shiftc.manifest import KernelEntry, Manifest, Signature, TensorSpec, Versions
from shiftc.target import describe_target, machine_of, parse_target, required_features

ROWS, COLUMNS = 4, 16
ARENA_BYTES = ROWS * COLUMNS * 4
BIAS = np.arange(COLUMNS, dtype=np.float32)


def _program(factor: float) -> Any:
    @T.prim_func(s_tir=True)
    def main(
        arena: T.Buffer((ARENA_BYTES,), "uint8"),
        constants: T.Buffer((COLUMNS * 4,), "uint8"),
        x: T.Buffer((ROWS, COLUMNS), "float32"),
        y: T.Buffer((ROWS, COLUMNS), "float32"),
        first: T.int32,
        last: T.int32,
    ) -> None:
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        multiplied = T.decl_buffer((ROWS * COLUMNS,), "float32", data=arena.data)
        bias = T.decl_buffer((COLUMNS,), "float32", data=constants.data)
        if first <= 0 and last > 0:
            for i, j in T.grid(ROWS, COLUMNS):
                multiplied[i * COLUMNS + j] = x[i, j] * T.float32(factor)
        if first <= 1 and last > 1:
            for i in T.parallel(ROWS):
                for j in range(COLUMNS):
                    y[i, j] = multiplied[i * COLUMNS + j] + bias[j]

    return main


@attrs.frozen
class Tiny:
    """The program as the compiler would hand it over."""

    library: Any
    constants: np.ndarray
    manifest: Manifest

    def write(self, path: Path, **changes: Any) -> Manifest:
        """Writes it as an artifact, its manifest changed as asked."""
        return write_artifact(path, attrs.evolve(self.manifest, **changes), self.constants, self.export)

    def export(self, file: str, build_id: str) -> None:
        """Links the library."""
        linker_for(self.manifest.machine).exporting(self.library)(file, build_id)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return _compiled(2)


@pytest.fixture(scope="session")
def rival() -> Tiny:
    return _compiled(3)


def _compiled(factor: float) -> Tiny:
    target = parse_target("host")
    library = tvm.compile(tvm.IRModule({"main": _program(factor)}), target=target)
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
        threads_asked=1,
        arena_bytes=ARENA_BYTES,
        arena_lower_bound_bytes=ARENA_BYTES,
        pruned_macs=0,
        kernels=(
            KernelEntry("double", "elementwise", False, 0, 2 * ARENA_BYTES, "Mul_0"),
            KernelEntry("bias", "elementwise", False, 0, 2 * ARENA_BYTES, "Add_1"),
        ),
        index_maps=(
            {
                "nodes": ("Shift_0",),
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
