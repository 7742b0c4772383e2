"""An operator no template takes: legalized by TVM, in plain layout, scheduled generically."""

from __future__ import annotations

import attrs
import tvm
from tvm import relax, te, tirx
from tvm.ir import Call, Expr, GlobalVar, IRModule, Tuple, TupleGetItem, Var

from ..graph import Graph, Node, substitute
from .context import OperatorError, compiling


@attrs.frozen(eq=False)
class GenericOperator:
    """One PrimFunc of a legalized operator.

    inputs:  tensors in the order of the function's first parameters: variables or constants.
    results: one variable per output, in the order of the parameters that follow.
    """

    func: tirx.PrimFunc
    inputs: tuple[Expr, ...]
    results: tuple[Var, ...]


def legalize(node: Node, module: IRModule) -> tuple[list[GenericOperator], Expr]:
    """The operators that compute a node of `module`, and what of their results the node's value is.

    Raises OperatorError where TVM has no lowering for the operator on static shapes.
    """
    if node.op.startswith("call_tir:"):
        operator = _operator(node.name, node.call, module)
        return [operator], _value(operator, node.call)
    inputs = list(dict.fromkeys(node.variables))
    params = [relax.Var(v.name, v.ty) for v in inputs]
    builder = relax.BlockBuilder()
    with builder.function("main", params):
        call = substitute(node.call, dict(zip(inputs, params, strict=True)))
        builder.emit_func_output(builder.emit(call))
    with compiling(node.name):
        mod = relax.transform.LegalizeOps()(builder.get())
    graph = Graph.read(mod)
    outer = dict(zip(graph.params, inputs, strict=True))
    operators: list[GenericOperator] = []
    tuples: dict[Var, tuple[Var, ...]] = {}
    for inner in graph.nodes:
        inner.call = substitute(inner.call, outer)
        if isinstance(inner.call, TupleGetItem):
            outer[inner.var] = tuples[inner.call.tuple_value][inner.call.index]
            continue
        if not inner.op.startswith("call_tir:"):
            raise OperatorError([node.name])
        operators.append(_operator(node.name, inner.call, mod))
        value = _value(operators[-1], inner.call)
        if isinstance(value, Tuple):
            tuples[inner.var] = operators[-1].results
        else:
            outer[inner.var] = value
    output = substitute(graph.output, outer)
    if isinstance(output, Var) and output in tuples:
        output = Tuple(list(tuples[output]))
    return operators, output


def _operator(name: str, call: Call, module: IRModule) -> GenericOperator:
    """The kernel of a `call_tir`."""
    callee, arguments = call.args[0], call.args[1]
    assert isinstance(callee, GlobalVar) and isinstance(arguments, Tuple)
    types = call.ty_args[0]
    fields = list(types.fields) if isinstance(types, tvm.ir.TupleType) else [types]
    results = tuple(relax.Var(name, field) for field in fields)
    return GenericOperator(module[callee], tuple(arguments.fields), results)


def _value(operator: GenericOperator, call: Call) -> Expr:
    """What a `call_tir` is, in terms of the results of its kernel."""
    is_tuple = isinstance(call.ty_args[0], tvm.ir.TupleType)
    return Tuple(list(operator.results)) if is_tuple else operator.results[0]


def copy_of_bytes(count: int) -> tirx.PrimFunc:
    """A kernel that copies so many bytes."""
    source = te.placeholder((count,), "uint8", "source")
    return te.create_prim_func([source, te.compute((count,), lambda i: source[i], name="copy")])


def is_view(node: Node) -> bool:
    """The node only gives a tensor another shape: in plain layout, nothing happens."""
    names = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten")
    return isinstance(node.call, Call) and node.op in names
