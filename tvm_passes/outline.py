"""Moving groups of nodes out of a graph into private functions, all groups in one sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count

import attrs
from tvm import relax
from tvm.ir import Call, Expr, GlobalVar, IRModule, Tuple, TupleGetItem, Var

from .graph import Graph, GraphError, is_computed
from .node import Node, substitute


@attrs.frozen(eq=False)
class Outlined:
    """A group of nodes that becomes a private function `name` with these attributes."""

    nodes: Sequence[Node]
    name: str
    attributes: Mapping[str, object]


def outline(mod: IRModule, graph: Graph, groups: Sequence[Outlined]) -> IRModule:
    """Move disjoint groups of nodes into private functions and let one call take the place of each.

    Returns the module with the functions added; `graph` is edited in place. Parameters are the variables
    that the group reads, in order; constants stay in the body. Several results are returned as a tuple.
    A node that calls a private Relax function is inlined, so groups do not nest. Raises GraphError where
    a call would need its own result (a path leaves the group and comes back).
    """
    of_var = {node.var: group for group in groups for node in group.nodes}
    members: dict[Outlined, list[Node]] = {group: [] for group in groups}
    for node in graph.nodes:
        if node.var in of_var:
            members[of_var[node.var]].append(node)
    readers, outputs = graph.all_consumers(), set(graph.outputs)
    names = {gvar.name_hint for gvar in mod.get_global_vars()}
    functions = dict(mod.functions.items())
    calls: dict[Outlined, list[Node]] = {}
    for group, nodes in members.items():
        results = [
            node.var
            for node in nodes
            if node.var in outputs or any(of_var.get(n.var) is not group for n in readers.get(node.var, ()))
        ]
        if not results:
            raise GraphError(f"{group.name}: nobody reads what these nodes compute")
        inputs = list(dict.fromkeys(v for n in nodes for v in n.variables if of_var.get(v) is not group))
        function = _function_of(mod, group, nodes, inputs, results)
        gvar = GlobalVar(_unused(group.name, names))
        relax.expr._update_type(gvar, function.ty)  # what calls infer their type from
        functions[gvar] = function
        calls[group] = _call_in_place(gvar, function, inputs, results)
    placed: list[Node] = []
    for node in graph.nodes:
        placed.extend([node] if node.var not in of_var else calls.pop(of_var[node.var], []))
    graph.nodes = placed
    graph.sort()
    return IRModule(functions, attrs=mod.attrs)


def _function_of(
    mod: IRModule, group: Outlined, nodes: Sequence[Node], inputs: Sequence[Var], results: Sequence[Var]
) -> relax.Function:
    """The private function; the nodes themselves stay as they are."""
    output = results[0] if len(results) == 1 else Tuple(results)
    params = [relax.Var(var.name, var.ty) for var in inputs]
    body = Graph(params, [Node(node.var, node.call) for node in nodes], output, group.attributes)
    body.replace_all(dict(zip(inputs, params, strict=True)))
    return _inlined(mod, body).function(group.name, private=True)


def _call_in_place(
    gvar: GlobalVar, function: relax.Function, inputs: Sequence[Var], results: Sequence[Var]
) -> list[Node]:
    """Nodes that define the group's results by a call."""
    call = Call(gvar, inputs)
    if len(results) == 1:
        return [Node(results[0], call)]
    whole = relax.Var(gvar.name_hint, function.ret_ty)
    return [Node(whole, call), *(Node(var, TupleGetItem(whole, i)) for i, var in enumerate(results))]


def _unused(name: str, names: set[str]) -> str:
    """The name, with a number where it is taken; taken from now on."""
    chosen = next(n for n in chain([name], (f"{name}_{i}" for i in count(1))) if n not in names)
    names.add(chosen)
    return chosen


def _inlined(mod: IRModule, graph: Graph) -> Graph:
    """The graph with the bodies of private Relax functions in place of the calls to them."""
    nodes: list[Node] = []
    values: dict[Var, Expr] = {}
    for node in graph.nodes:
        call = substitute(node.call, values)
        callee = mod[call.op] if isinstance(call, Call) and isinstance(call.op, GlobalVar) else None
        if isinstance(callee, relax.Function):
            inner = _inlined(mod, Graph.of_function(callee))
            local = dict(zip(inner.params, call.args, strict=True))
            for inner_node in inner.nodes:
                fresh = relax.Var(inner_node.name, inner_node.var.ty)
                nodes.append(Node(fresh, substitute(inner_node.call, local)))
                local[inner_node.var] = fresh
            values[node.var] = substitute(inner.output, local)
        elif is_computed(call):
            nodes.append(Node(node.var, call))
        else:
            values[node.var] = call
    return Graph(graph.params, nodes, substitute(graph.output, values), graph.attributes)
