"""Who reads what in a graph, looked up many times between edits."""

from __future__ import annotations

from tvm.ir import Expr, Var

from .graph import Graph, Node


class Uses:
    """A snapshot of a graph's readers and writers; make a new one after editing the graph."""

    def __init__(self, graph: Graph) -> None:
        self._consumers = graph.all_consumers()
        self._producers = graph.producers()
        self._outputs = {out for out in graph.outputs if isinstance(out, Var)}

    def consumers(self, var: Var) -> list[Node]:
        """The nodes that read the variable, in order; being returned does not count."""
        return self._consumers.get(var, [])

    def producer(self, expr: Expr) -> Node | None:
        """The node that makes the value; None for parameters and constants."""
        return self._producers.get(expr) if isinstance(expr, Var) else None

    def is_output(self, var: Var) -> bool:
        """The graph returns the variable."""
        return var in self._outputs
