"""Gates from tables that lie in registers.

    x F(x) = max(x, 0) - c Q(c),  c = min(|x|, limit)

where Q is a polynomial in each of as many segments as a lookup has entries (`schedules/piecewise.py`). Adding
1.5 * 2**23 to c in segments rounds it to the number of its segment, in the lowest bits, which are all that a
lookup reads. A vector costs a dozen instructions, none of which is a division.

The error is below 3e-7 of x. NaN comes out through the maximum; infinities become infinity and zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call

from schedules.activation import bound, constant
from schedules.gates import GATES, kind_of
from schedules.machine import Lookup, MachineParameters, UnknownMachineError, machine_of
from schedules.piecewise import Piecewise, fit

Expr = Any

_TO_WHOLE = 1.5 * 2**23
"""Added to a small float32, leaves a whole number and the sum's lowest bits as those of the number."""


@cache
def _table(kind: str, segments: int) -> Piecewise:
    gate = GATES[kind]
    return fit(gate.closed, gate.limit, segments, gate.degree)


def _vector(values: Sequence[float]) -> Expr:
    return tirx.Shuffle([constant(value) for value in values], list(range(len(values))))


def _look_up(lookup: Lookup, entries: Sequence[float], numbers: Expr, lanes: int) -> Expr:
    """The entry of every number, `lanes` of them."""
    first, *rest = (_vector(entries[i : i + lanes]) for i in range(0, lookup.entries, lanes))
    return tirx.call_llvm_pure_intrin(f"float32x{lanes}", lookup.intrinsic, first, numbers, *rest)


def _gated(kind: str, x: Expr, lookup: Lookup, lanes: int) -> Expr:
    """The equation above for a vector x."""
    table = _table(kind, lookup.entries)

    def of_segment(c: Expr, segment: Expr) -> Expr:
        *terms, result = (_look_up(lookup, row, segment, lanes) for row in table.coefficients)
        for term in reversed(terms):
            result = result * c + term
        # A maximum is its second operand where one is NaN.
        return tirx.max(constant(0.0), x) - c * result

    def of_magnitude(c: Expr) -> Expr:
        whole = c * constant(table.per_unit) + constant(_TO_WHOLE)
        return bound(tirx.reinterpret(f"int32x{lanes}", whole), lambda segment: of_segment(c, segment))

    return bound(tirx.min(tirx.abs(x), constant(table.limit)), of_magnitude)


def _machine(func: tirx.PrimFunc) -> MachineParameters | None:
    try:
        return machine_of(func.attrs["target"])
    except UnknownMachineError:
        return None


def _choose(func: tirx.PrimFunc, _mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tirx.PrimFunc:
    machine = _machine(func)

    def choose(call: Call) -> Expr:
        kind = kind_of(call)
        if kind is None:
            return call
        x, portable = call.args
        if machine is None or machine.lookup is None or call.ty.dtype.lanes != machine.lanes:
            return portable
        return _gated(kind, x, machine.lookup, machine.lanes)

    return func.with_body(tvm_ffi.structural_map(func.body, (Call, choose), order="post"))


ChooseGates = tirx.transform.prim_func_pass(_choose, opt_level=0)
"""Calls of gates become arithmetic: by lookups in full vectors of a machine that has them, else portable."""
