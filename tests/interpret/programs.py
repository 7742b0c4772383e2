"""Programs that are planned for machines by name, interpreted, and compared with what TVM computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tvm
from tvm.ir import IRModule

from tests.passes.modules import Array, reference, tensors
from tvm_passes.interpret import run_program
from tvm_passes.lowered import Lowered
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.tiling import NO_TILING, Tiling

MACHINES = {"sse2": "x86-64", "avx2": "haswell", "avx512": "znver4"}
"""Machine models of four, eight and sixteen lanes, by the processor that stands for them."""
CHAINS = Tiling(tiles=3, forced=True)
BANDS = Tiling(tiles=2, bands=True, forced=True)


def planned(mod: IRModule, machine: str = "avx2", threads: int = 1, **options: Any) -> Lowered:
    """The program for a machine; a step for every stage unless `tiling` says otherwise."""
    target = tvm.target.Target({"kind": "llvm", "mcpu": MACHINES[machine]})
    return lower_module(mod, target, PipelineOptions(threads=threads, **{"tiling": NO_TILING, **options}))


def check_interpreted(lowered: Lowered, inputs: Sequence[Array], expected: Sequence[Array]) -> None:
    """The program touches nothing that it must not, and computes what is expected."""
    assert_near(run_program(lowered, inputs), expected)


def assert_near(results: Sequence[Array], expected: Sequence[Array], tolerance: float = 2e-5) -> None:
    """They differ by no more than the tolerance times the largest number expected."""
    assert len(results) == len(expected)
    for got, want in zip(results, expected, strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        scale = float(np.abs(want).max(initial=0)) or 1.0
        np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=tolerance)


def expected_of(mod: IRModule) -> tuple[list[Array], list[Array]]:
    """Random inputs, and what the module makes of them."""
    inputs = tensors(mod)
    return inputs, reference(mod, inputs)
