"""One step of an epilogue, as it was found in the graph."""

from __future__ import annotations

import math

import attrs
from tvm.ir import Expr, Var

from schedules.workload import EpilogueOp

from .array import Array
from .node import Node
from .relax_values import scalar_of


@attrs.frozen(eq=False)
class EpilogueStep:
    """One step: the operation, its constant per channel or its second tensor, and the nodes it covers.

    vector:      float32 [channels], for vector kinds.
    operand:     the second tensor, for tensor kinds.
    per_channel: the operand is [N, C, 1, 1] against a larger plane.
    result:      the value that holds the step's result.
    """

    op: EpilogueOp
    nodes: tuple[Node, ...]
    result: Var
    vector: Array | None = None
    operand: Expr | None = None
    per_channel: bool = False


def clip_bounds(node: Node) -> tuple[float, float]:
    """The bounds of a `relax.clip`; infinite where they are not constant."""
    low, high = (scalar_of(a) for a in node.call.args[1:3])
    return -math.inf if low is None else low, math.inf if high is None else high
