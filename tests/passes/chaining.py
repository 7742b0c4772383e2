"""Chains in programs that are too small to gain from them, beside the same programs without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm.ir import IRModule

from tests.passes.modules import Array, compiled, execute, reference, tensors
from tvm_passes.compiled import Compiled
from tvm_passes.graph import Graph
from tvm_passes.relax_values import shape_of
from tvm_passes.tiling import Tiling


def chained(mod: IRModule, tiles: int, bands: bool = False, **options: Any) -> Compiled:
    """The program, all stages that may be in chains of that many tiles (or a few less: rows are whole).

    bands: each thread has one of every chain; else all share the chain's strips.
    """
    return compiled(mod, tiling=Tiling(tiles=tiles, bands=bands, forced=True), **options)


def chains_in(program: Compiled) -> list[str]:
    """The chains of a program, by their stages, tiles and bands."""
    return [step.name.removeprefix("chain_") for step in program.steps if step.kind == "chain"]


def check_chained(
    mod: IRModule,
    tiles: int,
    tolerance: float = 0.0,
    against_tvm: bool = True,
    bands: bool = False,
    **options: Any,
) -> Compiled:
    """Chains, after a run on other inputs, compute what the program without chains does, and what TVM does.

    tolerance: of the largest output, to the program without chains, where that does not sum products as they
        are (`tvm_passes/forms.py`); else they have the same bits.
    """
    program, apart = chained(mod, tiles, bands, **options), compiled(mod, **options)
    first, second = tensors(mod, 1), tensors(mod, 2)
    outputs = [np.empty(shape_of(out), "float32") for out in Graph.read(mod).outputs]
    results = execute(program, first, second, outputs=outputs)
    in_order = not any(s.kind == "winograd_conv" or s.name.startswith("paired_conv") for s in apart.steps)
    assert_near(results, execute(apart, second, outputs=outputs), 0.0 if in_order else tolerance)
    if against_tvm:
        assert_near(results, reference(mod, second), 2e-5)
    assert program.arena_lower_bound_bytes <= program.arena_bytes
    return program


def assert_near(results: Sequence[Array], expected: Sequence[Array], tolerance: float) -> None:
    """They differ by no more than the tolerance times the largest number expected."""
    for got, want in zip(results, expected, strict=True):
        largest = float(np.abs(want).max(initial=0))
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * largest)
