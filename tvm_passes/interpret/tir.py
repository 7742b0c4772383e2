"""Functions that TVM made of an operator, executed on whole tensors.

A block is executed for all its iterations at once; a sum, product, maximum or minimum is reduced at once too,
any other reduction step by step. What is not known here is compiled, alone and for this machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import attrs
import numpy as np
import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import GlobalVar, IRModule, TensorLoad, Var
from tvm.ir.prim import expr as prim
from tvm.s_tir.stmt import SBlockRealize
from tvm.tirx import stmt as statements

from ..array import Array
from .errors import InterpretationError, Where
from .tir_values import Environment, UnknownError, Values, dtype_of

Shapes = Sequence[tuple[tuple[int, ...], str]]

_AT_ONCE = 1 << 21
"""Iterations of a reduction that are made at once, at most."""
_MOST_STEPS = 4_000
"""One after the other; a compiled function is faster then."""
_SPATIAL, _REDUCTION = 0, 2
_REDUCTIONS: dict[type, Any] = {
    prim.Add: np.add,
    prim.Mul: np.multiply,
    prim.Max: np.maximum,
    prim.Min: np.minimum,
}


@attrs.frozen
class _Loop:
    variable: Any
    first: int
    extent: int
    dtype: str

    @property
    def values(self) -> Array:
        return np.arange(self.first, self.first + self.extent).astype(self.dtype)

    def grid(self, axis: int, axes: int) -> Array:
        """The values along one of so many axes."""
        return self.values.reshape([-1 if axis == other else 1 for other in range(axes)])


def evaluate_function(
    func: tirx.PrimFunc, inputs: Sequence[Array], outputs: Shapes, where: Where
) -> list[Array]:
    """What the function writes.

    Raises ProgramError for a load out of bounds, InterpretationError for a function that is not known here
    and that TVM does not compile.
    """
    results = [np.zeros(shape, dtype) for shape, dtype in outputs]
    try:
        with np.errstate(all="ignore"):
            _Function(func, [*inputs, *results], where).run(func.body, {}, [])
        return results
    except UnknownError as unknown:
        return _compiled(func, inputs, outputs, str(unknown), where)


class _Function:
    def __init__(self, func: tirx.PrimFunc, arrays: Sequence[Array], where: Where) -> None:
        if len(func.params) != len(arrays):
            raise UnknownError("parameters that are no tensors")
        self.buffers: dict[Any, Array] = dict(zip(func.params, arrays, strict=True))
        self.values = Values(self.buffers, where)

    def run(self, stmt: Any, env: Environment, loops: list[_Loop]) -> None:
        """A statement inside of loops that are still to be made."""
        kinds: dict[type, Callable[[Any, Environment, list[_Loop]], None]] = {
            statements.For: self._for,
            SBlockRealize: self._block,
        }
        known = kinds.get(type(stmt))
        if known is not None:
            known(stmt, env, loops)
            return
        if self._store_at_once(stmt, env, loops):
            return
        for inside in _each(loops, env):
            self._plain(stmt, inside)

    def _for(self, loop: Any, env: Environment, loops: list[_Loop]) -> None:
        first, extent = (self.values.of(e, env) for e in (loop.min, loop.extent))
        here = _Loop(loop.loop_var, int(first), int(extent), dtype_of(loop.loop_var))
        self.run(loop.body, env, [*loops, here])

    def _store_at_once(self, stmt: Any, env: Environment, loops: list[_Loop]) -> bool:
        """Whether the statement writes every element once, and reads none of that buffer; then it is done."""
        *bindings, store = stmt.seq if isinstance(stmt, statements.SeqStmt) else [stmt]
        if not loops or not isinstance(store, statements.BufferStore) or _reads(stmt, store.buffer):
            return False
        if not all(isinstance(part, statements.Bind) for part in bindings):
            return False
        inside = {**env, **_grids(loops, len(loops))}
        for binding in bindings:
            inside[binding.var] = self.values.of(binding.value, inside)
        index = self.values.index(store.buffer, store.indices, inside)
        target = self.buffers[store.buffer]
        written = np.ravel_multi_index(np.broadcast_arrays(*index), target.shape)
        if len(np.unique(written)) < math.prod(loop.extent for loop in loops):
            return False
        target[index] = self.values.of(store.value, inside)
        return True

    def _block(self, realize: Any, env: Environment, loops: list[_Loop]) -> None:
        block = realize.block
        for buffer in block.alloc_buffers:
            self._allocate(buffer)
        kinds = {int(v.iter_type) for v in block.iter_vars}
        if not kinds <= {_SPATIAL, _REDUCTION} or not _is_true(realize.predicate):
            raise UnknownError("a block of dependent iterations")
        if not block.iter_vars:
            self.run(block.body, env, loops)
            return
        reduced = [v for v, kind in _values_of(realize) if kind == _REDUCTION]
        inner = [loop for loop in loops if any(_uses(v, loop.variable) for v in reduced)]
        outer = [loop for loop in loops if loop not in inner]
        if block.init is not None:
            first = {loop.variable: loop.values[0] for loop in inner}
            self._plain(block.init, self._bound(realize, {**env, **_grids(outer, len(outer)), **first}))
        if not inner:
            self._plain(block.body, self._bound(realize, {**env, **_grids(outer, len(outer))}))
        elif not self._reduce_at_once(realize, env, outer, inner):
            for inside in _each(inner, env):
                self._plain(block.body, self._bound(realize, {**inside, **_grids(outer, len(outer))}))

    def _bound(self, realize: Any, env: Environment) -> Environment:
        """With the block's own variables."""
        pairs = zip(realize.block.iter_vars, realize.iter_values, strict=True)
        return {**env, **{v.var: self.values.of(value, env) for v, value in pairs}}

    def _reduce_at_once(self, realize: Any, env: Environment, outer: list[_Loop], inner: list[_Loop]) -> bool:
        """Whether the block is `a[i] = a[i] + value` or the like, and small; then it is done."""
        store = realize.block.body
        loops = [*outer, *inner]
        if math.prod(loop.extent for loop in loops) > _AT_ONCE or not isinstance(
            store, statements.BufferStore
        ):
            return False
        ufunc = _REDUCTIONS.get(type(store.value))
        if ufunc is None or not _is_of(store.value.a, store):
            return False
        axes = len(loops)
        inside = self._bound(realize, {**env, **_grids(loops, axes)})
        value = np.asarray(self.values.of(store.value.b, inside))
        shape = [loop.extent for loop in loops]
        value = np.broadcast_to(value, shape)
        exact = np.float64 if value.dtype.kind == "f" and ufunc in (np.add, np.multiply) else value.dtype
        over = tuple(range(len(outer), axes))
        total = ufunc.reduce(value, axis=over, dtype=exact)
        target = self.buffers[store.buffer]
        first = {loop.variable: loop.values[0] for loop in inner}
        at = self._bound(realize, {**env, **_grids(outer, len(outer)), **first})
        index = self.values.index(store.buffer, store.indices, at)
        target[index] = ufunc(target[index], total).astype(target.dtype)
        return True

    def _plain(self, stmt: Any, env: Environment) -> None:
        """Statements without loops to be made at once; variables are bound in `env`."""
        if isinstance(stmt, statements.BufferStore):
            index = self.values.index(stmt.buffer, stmt.indices, env)
            self.buffers[stmt.buffer][index] = self.values.of(stmt.value, env)
        elif isinstance(stmt, statements.SeqStmt):
            for part in stmt.seq:
                self._plain(part, env)
        elif isinstance(stmt, statements.Bind):
            env[stmt.var] = self.values.of(stmt.value, env)
        elif isinstance(stmt, statements.IfThenElse):
            condition = np.asarray(self.values.of(stmt.condition, env))
            if condition.ndim:
                raise UnknownError("a condition of many iterations")
            chosen = stmt.then_case if condition else stmt.else_case
            if chosen is not None:
                self._plain(chosen, env)
        elif isinstance(stmt, statements.AllocBuffer):
            self._allocate(stmt.buffer)
        elif isinstance(stmt, statements.For | SBlockRealize):
            self.run(stmt, dict(env), [])
        else:
            raise UnknownError(type(stmt).__name__)

    def _allocate(self, buffer: Any) -> None:
        shape = [int(self.values.of(extent, {})) for extent in buffer.shape]
        self.buffers[buffer] = np.zeros(shape, str(buffer.dtype))


def _grids(loops: Sequence[_Loop], axes: int) -> Environment:
    return {loop.variable: loop.grid(axis, axes) for axis, loop in enumerate(loops)}


def _each(loops: Sequence[_Loop], env: Environment) -> Iterator[Environment]:
    """One iteration after the other."""
    if math.prod(loop.extent for loop in loops) > _MOST_STEPS:
        raise UnknownError("many dependent iterations")
    for values in product(*(loop.values for loop in loops)):
        yield {**env, **dict(zip((loop.variable for loop in loops), values, strict=True))}


def _values_of(realize: Any) -> list[tuple[Any, int]]:
    pairs = zip(realize.iter_values, realize.block.iter_vars, strict=True)
    return [(value, int(v.iter_type)) for value, v in pairs]


def _uses(value: Any, variable: Any) -> bool:
    if isinstance(value, Var):
        return bool(value.same_as(variable))
    if isinstance(value, prim.IntImm):
        return False
    raise UnknownError("an iteration that is computed")


def _is_true(predicate: Any) -> bool:
    return isinstance(predicate, prim.IntImm) and bool(predicate.value)


def _reads(stmt: Any, buffer: Any) -> bool:
    loads: list[Any] = []
    tvm_ffi.structural_walk(stmt, (TensorLoad, loads.append))
    return any(load.source.same_as(buffer) for load in loads)


def _is_of(value: Any, store: Any) -> bool:
    """Whether a value is what the store writes over."""
    return (
        isinstance(value, TensorLoad)
        and value.source.same_as(store.buffer)
        and all(tvm_ffi.structural_equal(a, b) for a, b in zip(value.indices, store.indices, strict=True))
    )


def _compiled(
    func: tirx.PrimFunc, inputs: Sequence[Array], outputs: Shapes, unknown: str, where: Where
) -> list[Array]:
    module = IRModule({GlobalVar("main"): func.with_attr("global_symbol", "main")})
    try:
        executable = tvm.compile(module, target=tvm.target.Target("llvm"))
    except Exception as error:
        raise InterpretationError(f"{where}: cannot be interpreted, it contains {unknown}") from error
    arrays = [tvm.runtime.tensor(np.array(array, order="C")) for array in inputs]
    results = [tvm.runtime.tensor(np.zeros(shape, dtype)) for shape, dtype in outputs]
    executable["main"](*arrays, *results)
    return [result.numpy() for result in results]
