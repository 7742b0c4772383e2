"""One binding of a Relax function, and what can be asked about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import tvm
from tvm import relax
from tvm.ir import Call, Expr, GlobalVar, Tuple, TupleGetItem, Var

INDEX_MAP_FUNCTION = "shiftc.index_map"
"""The packed function that a call of an index map names."""


@attrs.define(eq=False)
class Node:
    """`var = call`. Edit `call` freely; the type of `var` is inferred anew when the graph is written."""

    var: Var
    call: Expr

    @property
    def name(self) -> str:
        return str(self.var.name)

    @property
    def op(self) -> str:
        """The operator: `relax.nn.conv2d`, `tuple`, `tuple_get_item`, `index_map`, `call:<function>` …"""
        return operator_name(self.call)

    @property
    def args(self) -> tuple[Expr, ...]:
        """The tensors that are read (and shapes and scalars): tuples flattened, the callee left out."""
        return tuple(leaves(self.call))

    @property
    def variables(self) -> tuple[Var, ...]:
        """The variables among the arguments."""
        return tuple(arg for arg in self.args if isinstance(arg, Var))


def origin(name: str) -> str:
    """The variable of the imported module that a variable was derived from: "conv" of "conv'2"."""
    return str(name).partition("'")[0]


def operator_name(expr: Expr) -> str:
    """What `Node.op` says about an expression."""
    if isinstance(expr, Tuple):
        return "tuple"
    if isinstance(expr, TupleGetItem):
        return "tuple_get_item"
    if not isinstance(expr, Call):
        return type(expr).__name__
    if isinstance(expr.op, GlobalVar):
        return f"call:{expr.op.name_hint}"
    name = str(getattr(expr.op, "name", type(expr.op).__name__))
    if name == "relax.call_tir":
        return f"call_tir:{expr.args[0].name_hint}"
    if name == "relax.call_pure_packed":
        symbol = str(expr.args[0].global_symbol)
        return "index_map" if symbol == INDEX_MAP_FUNCTION else f"packed:{symbol}"
    return name


def leaves(expr: Expr) -> Iterator[Expr]:
    """The tensors, shapes and scalars in an expression, tuples flattened."""
    if isinstance(expr, Tuple):
        for field in expr.fields:
            yield from leaves(field)
    elif isinstance(expr, TupleGetItem):
        yield from leaves(expr.tuple_value)
    elif isinstance(expr, Call):
        for arg in expr.args:
            yield from leaves(arg)
    elif not isinstance(expr, GlobalVar | relax.ExternFunc | tvm.ir.StringImm):
        yield expr


def substitute(expr: Expr, values: Mapping[Var, Expr]) -> Expr:
    """The expression with variables exchanged; itself where there are none to exchange."""
    if not values:
        return expr
    if isinstance(expr, Var):
        return values.get(expr, expr)
    if isinstance(expr, Tuple):
        return Tuple([substitute(field, values) for field in expr.fields])
    if isinstance(expr, TupleGetItem):
        value = substitute(expr.tuple_value, values)
        return value.fields[expr.index] if isinstance(value, Tuple) else TupleGetItem(value, expr.index)
    if isinstance(expr, Call):
        args = [substitute(arg, values) for arg in expr.args]
        return Call(expr.op, args, expr.attrs, expr.ty_args, expr.span)
    return expr
