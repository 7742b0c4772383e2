"""An operator no template takes: legalized by TVM, in plain layout, scheduled generically."""

from __future__ import annotations

import attrs
import tvm
from tvm import relax, tirx
from tvm.ir import Call, Expr, GlobalVar, Tuple, TupleGetItem, Var

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


def legalize(node: Node) -> tuple[list[GenericOperator], Expr]:
    """The operators that compute a node, and what of their results the node's value is.

    Raises OperatorError where TVM has no lowering for the operator on static shapes.
    """
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
        callee, arguments = inner.call.args[0], inner.call.args[1]
        assert isinstance(callee, GlobalVar) and isinstance(arguments, Tuple)
        types = inner.call.ty_args[0]
        fields = list(types.fields) if isinstance(types, tvm.ir.TupleType) else [types]
        results = tuple(relax.Var(f"{node.name}", field) for field in fields)
        if isinstance(types, tvm.ir.TupleType):
            tuples[inner.var] = results
        else:
            outer[inner.var] = results[0]
        operators.append(GenericOperator(mod[callee], tuple(arguments.fields), results))
    output = substitute(graph.output, outer)
    if isinstance(output, Var) and output in tuples:
        output = Tuple(list(tuples[output]))
    return operators, output


def is_view(node: Node) -> bool:
    """The node only gives a tensor another shape: in plain layout, nothing happens."""
    names = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten")
    return isinstance(node.call, Call) and node.op in names
