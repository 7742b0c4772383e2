"""A Relax function as an ordered list of nodes that can be edited: the one place of Relax surgery.

`Graph.read` takes a function in A-normal form apart, `Graph.write` puts it together again through a
BlockBuilder, which infers all types anew. Aliases (`y = x`) and projections of tuples that are spelled
out are resolved on the way in, so a node's arguments are parameters, constants or other nodes' results.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import attrs
from tvm import relax
from tvm.ir import Call, Expr, IRModule, TupleGetItem, Var

from .node import Node, leaves, origin, substitute

__all__ = ["Graph", "GraphError", "Node", "substitute"]


class GraphError(ValueError):
    """A function that cannot be read as a graph, or a group of nodes that cannot be moved out of one."""


@attrs.define(eq=False)
class Graph:
    """The nodes of one Relax function in an order in which they can be computed.

    params: the function's parameters.
    nodes:  the bindings.
    output: what is returned: a variable, a constant, or (nested) tuples of them.
    """

    params: list[Var]
    nodes: list[Node]
    output: Expr
    attributes: Mapping[str, object] = attrs.field(factory=dict)
    _as_read: _AsRead | None = None

    @classmethod
    def read(cls, mod: IRModule, name: str = "main") -> Graph:
        """The graph of a function of the module; raises GraphError for control flow."""
        return cls.of_function(mod[name])

    @classmethod
    def of_function(cls, function: relax.Function) -> Graph:
        """The graph of a Relax function in A-normal form."""
        values: dict[Var, Expr] = {}
        nodes: list[Node] = []
        attributes = dict(function.attrs.items()) if function.attrs else {}
        attributes.pop("global_symbol", None)
        for block in function.body.blocks:
            for binding in block.bindings:
                value = substitute(binding.value, values)
                if isinstance(value, relax.If | relax.Function | relax.SeqExpr):
                    raise GraphError(
                        f"{binding.var.name}: control flow and inner functions are not supported"
                    )
                if is_computed(value):
                    nodes.append(Node(binding.var, value))
                else:
                    values[binding.var] = value
        output = substitute(function.body.body, values)
        as_read = None if values else _AsRead(function, [(node.var, node.call) for node in nodes], output)
        return cls(list(function.params), nodes, output, attributes, as_read)

    # --- looking ----------------------------------------------------------------------------

    @property
    def outputs(self) -> list[Expr]:
        """What is returned, tuples flattened."""
        return list(leaves(self.output))

    def producer(self, expr: Expr) -> Node | None:
        """The node that makes the value; None for parameters and constants."""
        return self.producers().get(expr) if isinstance(expr, Var) else None

    def producers(self) -> dict[Var, Node]:
        """Every variable's node."""
        return {node.var: node for node in self.nodes}

    def consumers(self, var: Var) -> list[Node]:
        """The nodes that read the variable, in order; being returned does not count."""
        return [node for node in self.nodes if var in node.variables]

    def all_consumers(self) -> dict[Var, list[Node]]:
        """`consumers` of every variable that has any, at once."""
        found: dict[Var, list[Node]] = {}
        for node in self.nodes:
            for var in dict.fromkeys(node.variables):
                found.setdefault(var, []).append(node)
        return found

    # --- editing ----------------------------------------------------------------------------

    def replace(self, var: Var, value: Expr) -> None:
        """Let everybody who reads `var`, and the output, read `value` instead."""
        self.replace_all({var: value})

    def replace_all(self, values: Mapping[Var, Expr]) -> None:
        """`replace` for many variables at once."""
        for node in self.nodes:
            if any(var in values for var in node.variables):
                node.call = substitute(node.call, values)
        self.output = substitute(self.output, values)

    def insert_before(self, node: Node | None, call: Expr, name: str) -> Node:
        """A new node, in front of `node` or at the end; its variable is typed and may be read at once.

        name: of what it is derived from; see `origin`.
        """
        typed = relax.BlockBuilder().normalize(call)
        new = Node(relax.Var(self._derived_name(name), typed.ty), call)
        self.nodes.insert(len(self.nodes) if node is None else self._position(node), new)
        return new

    def _derived_name(self, name: str) -> str:
        taken = {node.name for node in self.nodes}
        return next(n for n in (f"{origin(name)}'{i}" for i in count(1)) if n not in taken)

    def _position(self, node: Node) -> int:
        return next(i for i, other in enumerate(self.nodes) if other is node)

    def remove_dead(self) -> None:
        """Drop the nodes whose results nobody reads."""
        alive: set[Var] = {out for out in self.outputs if isinstance(out, Var)}
        kept = []
        for node in reversed(self.nodes):
            if node.var in alive:
                kept.append(node)
                alive.update(node.variables)
        self.nodes = kept[::-1]

    def sort(self) -> None:
        """Order the nodes so that all are computed before they are read, changing as little as possible."""
        producers, done, placed = self.producers(), set[Var](), list[Node]()
        for root in self.nodes:
            stack: list[tuple[Node, bool]] = [(root, False)]
            open_vars: set[Var] = set()
            while stack:
                node, ready = stack.pop()
                if ready:
                    open_vars.discard(node.var)
                    done.add(node.var)
                    placed.append(node)
                elif node.var not in done:
                    if node.var in open_vars:
                        raise GraphError(f"{node.name} would need its own result")
                    open_vars.add(node.var)
                    stack.append((node, True))
                    needed = [producers[v] for v in node.variables if v in producers and v not in done]
                    stack.extend((other, False) for other in reversed(needed))
        self.nodes = placed

    # --- writing ----------------------------------------------------------------------------

    def write(self, mod: IRModule, name: str = "main") -> IRModule:
        """A module like `mod` with this graph as the function `name`; unused private functions are gone.

        It is `mod` itself where that is the function, as it was read.
        """
        if self._as_read is not None and self._as_read.is_still(mod[name], self):
            return mod
        function = self.function(name)
        functions = {gv: function if gv.name_hint == name else f for gv, f in mod.functions.items()}
        return _without_unused(IRModule(functions, attrs=mod.attrs))

    def function(self, name: str, private: bool = False) -> relax.Function:
        """The Relax function: one dataflow block, names of variables kept."""
        builder = relax.BlockBuilder()
        values: dict[Var, Expr] = {}
        returned = {out for out in self.outputs if isinstance(out, Var)}
        with builder.function(name, self.params, attrs=dict(self.attributes), private=private):
            with builder.dataflow():
                for node in self.nodes:
                    emit = builder.emit_output if node.var in returned else builder.emit
                    values[node.var] = emit(substitute(node.call, values), node.name)
                output = substitute(self.output, values)
            builder.emit_func_output(output)
        written = builder.finalize()
        return next(iter(written.functions.values()))


@attrs.frozen(eq=False)
class _AsRead:
    """A function without aliases, and what it was read as."""

    function: relax.Function
    bindings: list[tuple[Var, Expr]]
    output: Expr

    def is_still(self, function: relax.Function, graph: Graph) -> bool:
        """Whether the graph is this function, nothing edited."""
        return (
            self.function.same_as(function)
            and self.output is graph.output
            and len(self.bindings) == len(graph.nodes)
            and all(
                node.var is var and node.call is call
                for node, (var, call) in zip(graph.nodes, self.bindings, strict=True)
            )
        )


def _without_unused(mod: IRModule) -> IRModule:
    """The module without private functions that no other function calls."""
    reached: set[str] = set()
    pending = [gv for gv, f in mod.functions.items() if f.attrs and "global_symbol" in f.attrs]
    while pending:
        gv = pending.pop()
        if gv.name_hint not in reached:
            reached.add(gv.name_hint)
            if isinstance(mod[gv], relax.Function):
                pending.extend(relax.analysis.all_global_vars(mod[gv]))
    kept = {gv: f for gv, f in mod.functions.items() if gv.name_hint in reached}
    return IRModule(kept, attrs=mod.attrs)


def is_computed(value: Expr) -> bool:
    """False for an alias, a constant with a name, or a tuple that is spelled out."""
    return isinstance(value, Call | TupleGetItem | relax.ShapeExpr)
