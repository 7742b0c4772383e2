"""The maximal movement-only regions of a graph: collected, evaluated on coordinates, fitted.

A region ends in an output: a movement-only tensor that is returned or read by an operator that computes.
It holds all movement-only operators that the output depends on; its sources are what these read.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import attrs
import numpy as np
import tvm
from tvm import relax
from tvm.ir import Expr, TupleGetItem, Var
from tvm.tirx import IntImm

from .fit import Source, fit
from .graph import Graph, Node
from .index_map import IndexMap, as_4d
from .movement import Movement, Mover
from .movement_tir import NotMovementError

MOST_CHANNELS = 1 << 15
"""A tensor of more has no map, which is written channel by channel: matrices may have a million columns."""
MAX_ROUNDS = 8
"""How often a region that does not fit is tried again without the operators that stand in the way."""


@attrs.frozen
class Region:
    """One output of movement-only operators: the map, the tensors it reads, the operators' names."""

    index_map: IndexMap
    sources: tuple[Var, ...]
    nodes: tuple[str, ...]
    same_rank: bool

    @property
    def is_identity(self) -> bool:
        """The output is its source; where the rank differs (flattening 1 x 1 planes) a map is kept."""
        return self.same_rank and self.index_map.is_identity


class Regions:
    """The movement-only regions of a graph and their index maps.

    left_out: operators that only move data but are no part of an index map, and why.
    """

    def __init__(self, mod: tvm.IRModule, graph: Graph) -> None:
        self._graph = graph
        self._mover = Mover(mod, graph)
        self._consumers = graph.all_consumers()
        self._producers = graph.producers()
        self._place = {node.var: place for place, node in enumerate(graph.nodes)}
        self._plans: dict[Var, Movement] = {}
        self._zeros: set[Var] = set()
        self._fits: dict[tuple[Var, ...], Region | str] = {}
        self.left_out: dict[Var, str] = {}
        for node in graph.nodes:
            if not self._mover.is_constant(node.var):
                with contextlib.suppress(NotMovementError):
                    self._plan(node)

    def _plan(self, node: Node) -> None:
        plan = self._plans[node.var] = self._mover.plan(node)
        if all(operand in self._zeros for operand in plan.operands if isinstance(operand, Var)):
            self._zeros.add(node.var)

    def constants(self) -> dict[Var, Expr]:
        """The values of the index arithmetic that is still read."""
        return {
            node.var: relax.const(self._mover.constant(node.var), str(node.var.ty.dtype))
            for node in self._graph.nodes
            if self._mover.is_constant(node.var) and isinstance(node.var.ty, relax.TensorType)
        }

    def fit_all(self) -> dict[Var, Region]:
        """The regions that fit, by output; fills `left_out` with what stands in the way of others."""
        for _ in range(MAX_ROUNDS):
            found: dict[Var, Region] = {}
            obstacles: dict[Var, str] = {}
            for node in self._outputs():
                region = self._fit(node)
                if isinstance(region, Region):
                    found[node.var] = region
                else:
                    obstacles.update(self._obstacle(node, region))
            if not obstacles:
                break
            self.left_out.update(obstacles)
        return found

    def _moves(self, expr: Expr) -> bool:
        return expr in self._plans and expr not in self.left_out

    def _outputs(self) -> list[Node]:
        """The movement-only nodes whose tensor is returned, or read by an operator that computes.

        Tensors that are zero whatever the inputs are only parts of regions.
        """
        returned = set(self._graph.outputs)
        return [
            node
            for node in self._graph.nodes
            if self._moves(node.var)
            and node.var not in self._zeros
            and isinstance(node.var.ty, relax.TensorType)
            and (
                node.var in returned
                or any(
                    not self._moves(reader.var) and not self._mover.is_constant(reader.var)
                    for reader in self._consumers.get(node.var, ())
                )
            )
        ]

    def _collect(self, output: Node) -> tuple[list[Node], list[Var]]:
        """The movement-only nodes that the output depends on, in order, and the tensors they read."""
        members: dict[Var, Node] = {}
        sources: dict[Var, None] = {}
        pending = [output.var]
        while pending:
            var = pending.pop()
            if var in members or self._mover.is_constant(var):
                continue
            if self._moves(var):
                members[var] = self._producers[var]
                operands = self._plans[var].operands
                pending.extend(o for o in reversed(operands) if isinstance(o, Var))
            else:
                sources[var] = None
        return sorted(members.values(), key=lambda node: self._place[node.var]), list(sources)

    def _evaluate(self, nodes: list[Node], sources: list[Var]) -> tuple[dict[Var, Any], list[Source]]:
        """The coordinates of every node, and the numbering of the sources."""
        shapes = [tuple(int(d) for d in source.ty.shape) for source in sources]
        total = sum(math.prod(shape) for shape in shapes)
        dtype = np.int32 if total < np.iinfo(np.int32).max else np.int64
        values: dict[Var, Any] = {}
        numbered, base = [], 1
        for source, shape in zip(sources, shapes, strict=True):
            size = math.prod(shape)
            values[source] = np.arange(base, base + size, dtype=dtype).reshape(shape)
            numbered.append(Source(base, as_4d(shape)))
            base += size
        for node in nodes:
            plan = self._plans[node.var]
            operands = [
                values[o] if o in values else np.zeros([int(d) for d in o.ty.shape], dtype)
                for o in plan.operands
            ]
            values[node.var] = plan.apply(operands)
        return values, numbered

    def _fit(self, output: Node) -> Region | str:
        """The region that ends in this output, or why it is no index map."""
        nodes, sources = self._collect(output)
        key = (output.var, *sources)
        if key not in self._fits:
            self._fits[key] = self._fit_region(output, nodes, sources)
        return self._fits[key]

    def _fit_region(self, output: Node, nodes: list[Node], sources: list[Var]) -> Region | str:
        for var in (output.var, *sources):
            problem = _endpoint_problem(var, output.var)
            if problem is not None:
                return problem
        values, numbered = self._evaluate(nodes, sources)
        index_map = fit(values[output.var].reshape(as_4d(values[output.var].shape)), numbered)
        if isinstance(index_map, str):
            return index_map
        index_map, kept = index_map.merge_sources(sources)
        if not kept:  # all zeros: a region still has a source
            index_map, kept = attrs.evolve(index_map, sources=(numbered[0].shape,)), [0]
        read = tuple(sources[i] for i in kept)
        same_rank = len(read[0].ty.shape) == len(output.var.ty.shape)
        names = tuple(n.name for n in nodes if not isinstance(n.call, TupleGetItem))
        return Region(index_map, read, names, same_rank)

    def _obstacle(self, output: Node, reason: str) -> dict[Var, str]:
        """The operator to leave out: the output, if it alone stands in the way, else the first that does."""
        culprit = output
        if not self._fits_in_front_of(output):
            nodes, _ = self._collect(output)
            for node in filter(_has_plane_rank, nodes[:-1]):
                inner = self._fit(node) if node.var not in self._zeros else None
                if isinstance(inner, str):
                    culprit, reason = node, inner
                    break
        left_out = {culprit.var: reason}
        if isinstance(culprit.call, TupleGetItem):
            left_out[culprit.call.tuple_value] = reason
        return left_out

    def _fits_in_front_of(self, output: Node) -> bool:
        """True if everything movement-only that the output's operator reads is an index map."""
        operands = [
            self._producers[o]
            for o in self._plans[output.var].operands
            if self._moves(o) and o not in self._zeros
        ]
        return bool(operands) and all(
            _has_plane_rank(node) and isinstance(self._fit(node), Region) for node in operands
        )


def _has_plane_rank(node: Node) -> bool:
    shape = getattr(node.var.ty, "shape", None)
    return shape is not None and len(shape) in (2, 4)


def _endpoint_problem(var: Var, output: Var) -> str | None:
    """Why a tensor cannot be an end of an index map to `output`, or None."""
    shape = getattr(var.ty, "shape", None)
    if shape is None or not all(isinstance(d, IntImm) for d in shape):
        return f"{var.name} has no static shape"
    if len(shape) not in (2, 4):
        return f"{var.name} has rank {len(shape)}, not [N, C, H, W] or [N, K]"
    if str(var.ty.dtype) != str(output.ty.dtype):
        return f"{var.name} is of type {var.ty.dtype}, the result of type {output.ty.dtype}"
    if str(var.ty.dtype) != "float32":
        return f"{var.name} is of type {var.ty.dtype}, kernels read float32"
    if int(shape[1]) > MOST_CHANNELS:
        return f"{var.name} has more than {MOST_CHANNELS} channels"
    return None
