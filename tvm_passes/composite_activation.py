"""Activations that exporters spell out in several operators and that read their operand twice.

x * sigmoid(x), the hard swish and the erf form of GELU become one epilogue step each. In the graph they are
diamonds: the value goes through a chain of operators and is multiplied with what comes out.
"""

from __future__ import annotations

import math

from tvm.ir import Var

from schedules.workload import EpilogueOp

from .epilogue_step import EpilogueStep, clip_bounds
from .node import Node
from .relax_values import scalar_of
from .uses import Uses


def match_composite(uses: Uses, value: Var) -> EpilogueStep | None:
    """An activation that reads the value twice, such as x * sigmoid(x)."""
    consumers = uses.consumers(value)
    for composite in (_hard_swish, _silu, _gelu, _gelu_halved_first):
        step = composite(uses, value, consumers)
        if step is not None:
            return step
    return None


def _hard_swish(uses: Uses, value: Var, consumers: list[Node]) -> EpilogueStep | None:
    """x * (clip(x + 3, 0, 6) / 6), or x * clip(x / 6 + 0.5, 0, 1)  (Howard et al., MobileNetV3, 2019)."""
    if len(consumers) != 2:
        return None
    for first in consumers:
        if first.op == "relax.add" and _has_scalar(first, 3.0):
            clipped = _follow(uses, first, "relax.clip")
            gate = _follow(uses, clipped, "relax.divide", 6.0)
            gate = gate or _follow(uses, clipped, "relax.multiply", 1 / 6)
            chain, bounds = (first, clipped, gate), (0.0, 6.0)
        elif first.op == "relax.multiply" and _has_scalar(first, 1 / 6):
            shifted = _follow(uses, first, "relax.add", 0.5)
            clipped = gate = _follow(uses, shifted, "relax.clip")
            chain, bounds = (first, shifted, clipped), (0.0, 1.0)
        else:
            continue
        last = _follow(uses, gate, "relax.multiply")
        if last is None or clipped is None or not _closes(last, value):
            continue
        if clip_bounds(clipped) == bounds:
            return EpilogueStep(EpilogueOp("hard_swish"), (*(n for n in chain if n), last), last.var)
    return None


def _silu(uses: Uses, value: Var, consumers: list[Node]) -> EpilogueStep | None:
    """x * sigmoid(x)."""
    sigmoid = _one(consumers, "relax.sigmoid")
    last = _follow(uses, sigmoid, "relax.multiply")
    if len(consumers) != 2 or sigmoid is None or last is None or not _closes(last, value):
        return None
    return EpilogueStep(EpilogueOp("silu"), (sigmoid, last), last.var)


def _gelu(uses: Uses, value: Var, consumers: list[Node]) -> EpilogueStep | None:
    """x * (erf(x / sqrt 2) + 1) * 0.5, factors in either order (Hendrycks & Gimpel, 2016)."""
    if len(consumers) != 2:
        return None
    plus, chain = _erf_plus_one(uses, consumers)
    product = _follow(uses, plus, "relax.multiply")
    if product is None or plus is None:
        return None
    if _closes(product, value):
        last = _follow(uses, product, "relax.multiply", 0.5)
    else:
        last = _follow(uses, product, "relax.multiply") if _has_scalar(product, 0.5) else None
        last = last if _closes(last, value) else None
    if last is None:
        return None
    return EpilogueStep(EpilogueOp("gelu"), (*chain, product, last), last.var)


def _gelu_halved_first(uses: Uses, value: Var, consumers: list[Node]) -> EpilogueStep | None:
    """(x * 0.5) * (erf(x / sqrt 2) + 1)."""
    halves = [n for n in consumers if n.op == "relax.multiply" and _has_scalar(n, 0.5)]
    if len(consumers) != 2 or len(halves) != 1:
        return None
    plus, chain = _erf_plus_one(uses, consumers)
    last = _follow(uses, plus, "relax.multiply")
    if last is None or not _closes(last, halves[0].var) or len(uses.consumers(halves[0].var)) != 1:
        return None
    return EpilogueStep(EpilogueOp("gelu"), (halves[0], *chain, last), last.var)


def _erf_plus_one(uses: Uses, consumers: list[Node]) -> tuple[Node | None, tuple[Node, ...]]:
    """erf(x / sqrt 2) + 1 among the consumers: its last node, and the chain."""
    root = math.sqrt(2.0)
    for first in consumers:
        scales = (first.op == "relax.divide" and _has_scalar(first, root)) or (
            first.op == "relax.multiply" and _has_scalar(first, 1 / root)
        )
        erf = _follow(uses, first, "relax.erf") if scales else None
        plus = _follow(uses, erf, "relax.add", 1.0)
        if erf is not None and plus is not None:
            return plus, (first, erf, plus)
    return None, ()


def _follow(uses: Uses, node: Node | None, op: str, number: float | None = None) -> Node | None:
    """The single consumer of `node`, if it is `op` (with the scalar constant `number`)."""
    if node is None or uses.is_output(node.var):
        return None
    consumers = uses.consumers(node.var)
    if len(consumers) != 1 or consumers[0].op != op:
        return None
    return consumers[0] if number is None or _has_scalar(consumers[0], number) else None


def _has_scalar(node: Node, number: float) -> bool:
    values = [scalar_of(a) for a in node.call.args]
    return any(v is not None and math.isclose(v, number, rel_tol=1e-5) for v in values)


def _one(consumers: list[Node], op: str) -> Node | None:
    found = [node for node in consumers if node.op == op]
    return found[0] if len(found) == 1 else None


def _closes(node: Node | None, value: Var) -> bool:
    """The node multiplies with the value the diamond started from."""
    return node is not None and any(a.same_as(value) for a in node.call.args)
