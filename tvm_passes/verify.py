"""Checking a pass by running the module before and after it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.ir import Expr, IRModule

from . import apply_index_map as _registers_index_map  # noqa: F401
from .array import Array
from .graph import Graph
from .relax_values import dtype_of, shape_of

Floats = npt.NDArray[np.float64]

TOLERANCE = {"float64": 1e-6, "float32": 1e-4, "float16": 1e-2}
"""Largest |difference| over largest |value| that counts as the same; anything else must be equal."""


_STEPS = frozenset({f"relax.{name}" for name in ("ceil", "floor", "floor_divide", "round", "sign", "trunc")})
_OFF_AT_STEPS = 0.01
"""Share of an output's elements that may lie on the other side of a step: rounded up, at least one."""


def verify_same(before: IRModule, after: IRModule, seed: int = 0) -> str | None:
    """Run `main` of both on the same random inputs; what differs, or None."""
    inputs = on_device(random_inputs(before, seed))
    return difference(run_module(before, inputs), run_module(after, inputs), has_steps(before))


def has_steps(mod: IRModule) -> bool:
    """Whether rounding may become a large difference in `main`: values are rounded, compared or ordered.

    Quantised models are such: what is halfway between two quanta falls to either.
    """
    return any(
        node.op in _STEPS or (_are_floating(node.args, any) and not _are_floating([node.var], all))
        for node in Graph.read(mod).nodes
    )


def _are_floating(values: Iterable[Expr], quantifier: Callable[[Iterable[bool]], bool]) -> bool:
    types = (getattr(value.ty, "fields", [value.ty]) for value in values)
    return quantifier(
        str(ty.dtype).startswith("float") for each in types for ty in each if isinstance(ty, relax.TensorType)
    )


def random_inputs(mod: IRModule, seed: int) -> list[Array]:
    """Standard normal numbers for every parameter of `main`, in its type."""
    generator = np.random.default_rng(seed)
    params = mod["main"].params
    return [generator.standard_normal(shape_of(p)).astype(dtype_of(p)) for p in params]


def on_device(arrays: Sequence[Array]) -> list[tvm.runtime.Tensor]:
    """The arrays as TVM's runtime takes them."""
    return [tvm.runtime.tensor(array) for array in arrays]


def difference(expected: Sequence[Array], actual: Sequence[Array], steps: bool = False) -> str | None:
    """What differs between the outputs, beyond rounding; or None. With `steps`, few elements may."""
    if len(expected) != len(actual):
        return f"{len(expected)} outputs became {len(actual)}"
    for index, (want, got) in enumerate(zip(expected, actual, strict=True)):
        if (want.shape, want.dtype) != (got.shape, got.dtype):
            return f"output {index} of type {want.dtype}{want.shape} became {got.dtype}{got.shape}"
        errors, scale = _errors(want.astype(np.float64), got.astype(np.float64))
        off = ~(errors <= TOLERANCE.get(str(want.dtype), 0.0) * scale)
        if off.sum() > (math.ceil(_OFF_AT_STEPS * want.size) if steps else 0):
            return f"output {index} differs by {errors.max():.3g} of {scale:.3g}"
    return None


def _errors(want: Floats, got: Floats) -> tuple[Floats, float]:
    """The differences (nan where only one is a number), and the largest finite value."""
    same = (want == got) | (np.isnan(want) & np.isnan(got))
    with np.errstate(invalid="ignore"):
        errors = np.where(same, 0.0, np.abs(want - got))
    finite = np.abs(want[np.isfinite(want)])
    return errors, float(finite.max(initial=0)) or 1.0


def run_module(mod: IRModule, inputs: list[tvm.runtime.Tensor]) -> list[Array]:
    """Compile `main` with TVM's default pipeline and run it; the outputs, tuples flattened."""
    mod = relax.transform.DecomposeOpsForInference()(mod)
    machine = relax.VirtualMachine(tvm.compile(mod, target=tvm.target.Target("llvm")), tvm.cpu())
    return _flatten(machine["main"](*inputs))


def _flatten(value: object) -> list[Array]:
    if hasattr(value, "numpy"):
        return [value.numpy()]
    return [array for field in value for array in _flatten(field)]  # type: ignore[attr-defined]
