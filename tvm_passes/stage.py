"""A stage: one anchor operator, the index maps its operands are read through, and its epilogue.

In the IR a stage is a private Relax function with the attribute `Composite = "shiftc.stage"` whose body
holds the original operators, so it stays executable. `read_stage` turns that body into data.
"""

from __future__ import annotations

import math

import attrs
from tvm.ir import Call, Expr, GlobalVar, IRModule, Var

from .anchor import Anchor, Window, anchor_of
from .apply_index_map import index_map_of
from .array import Array
from .epilogue import head_step, match_step
from .epilogue_step import EpilogueStep
from .graph import Graph, Node
from .index_map import IndexMap, Shape, as_4d
from .relax_values import shape_of
from .uses import Uses
from .window_taps import WindowTaps

COMPOSITE_ATTRIBUTE = "Composite"
COMPOSITE = "shiftc.stage"


@attrs.frozen(eq=False)
class Read:
    """A tensor operand: the tensors it is read from, and the map it is read through (None: as it is)."""

    sources: tuple[Var, ...]
    map: IndexMap | None = None


@attrs.frozen(eq=False)
class Operation:
    """One epilogue step of a stage; see `EpilogueStep`."""

    step: EpilogueStep
    read: Read | None = None


@attrs.frozen(eq=False)
class Stage:
    """What a kernel computes.

    operators: names of the nodes it was made of.
    kind:     convolution, depthwise, window_pool, global_pool, layer_norm, group_norm, softmax or
              elementwise.
    reduce:   of a pool: `max` or `avg`; `count_include_pad` for a window average.
    taps:     of rows and columns, for a window_pool whose windows are not `window`'s, but given one by one.
    read:     the anchor's data operand.
    groups:   of a convolution, or of the channels that a group_norm normalizes together.
    epsilon:  of a layer_norm or group_norm.
    weight:   float32 [O, I / groups, kh, kw] of a convolution or depthwise; None otherwise.
    output:   shape of the result as the graph sees it (rank 2 or 4).
    """

    name: str
    kind: str
    read: Read
    window: Window
    output: tuple[int, ...]
    result: Var
    operators: tuple[str, ...]
    groups: int = 1
    weight: Array | None = None
    reduce: str = "max"
    count_include_pad: bool = False
    taps: tuple[WindowTaps, WindowTaps] | None = None
    epsilon: float = 0.0
    epilogue: tuple[Operation, ...] = ()

    @property
    def shape(self) -> Shape:
        """The result as (N, C, H, W)."""
        return as_4d(self.output)

    @property
    def macs(self) -> int:
        """Multiply-adds of the anchor; pooling and element-wise work count none."""
        if self.weight is None:
            return 0
        n, _, h, w = self.shape
        taps = (self.window.taken(axis, outputs) for axis, outputs in enumerate((h, w)))
        return int(n * math.prod(taps) * math.prod(self.weight.shape[:2]))


def stage_of(mod: IRModule, node: Node) -> Stage | None:
    """The stage that a node of `main` calls, reading `main`'s variables; None for other nodes."""
    if not isinstance(node.call, Call) or not isinstance(node.call.op, GlobalVar):
        return None
    function = mod[node.call.op]
    if not function.attrs or function.attrs.get(COMPOSITE_ATTRIBUTE) != COMPOSITE:
        return None
    body = Graph.of_function(function)
    uses = Uses(body)
    outer = dict(zip(body.params, node.call.args, strict=True))

    def read(expr: Expr) -> Read:
        producer = uses.producer(expr)
        if producer is None:
            return Read((outer[expr],))
        return Read(tuple(outer[v] for v in producer.variables), index_map_of(producer.call))

    head = next(n for n in body.nodes if n.op != "index_map")
    anchor = anchor_of(head)
    if isinstance(anchor, str):
        started = head_step(uses, head)
        if isinstance(started, str):
            raise ValueError(f"{node.op} has no anchor: {anchor}; {started}")
        value, step = started
        anchor = Anchor("elementwise", value)
        steps = [step]
    else:
        steps = []
    value = steps[-1].result if steps else head.var
    while not uses.is_output(value):
        step_or_reason = match_step(uses, value)
        if isinstance(step_or_reason, str):
            raise ValueError(f"{node.op} goes on after {value.name}: {step_or_reason}")
        steps.append(step_or_reason)
        value = step_or_reason.result
    operations = tuple(Operation(s, None if s.operand is None else read(s.operand)) for s in steps)
    return Stage(
        name=node.name,
        kind=anchor.kind,
        read=read(anchor.data),
        window=anchor.window,
        output=shape_of(node.var),
        result=node.var,
        operators=tuple(n.name for n in body.nodes),
        groups=anchor.groups,
        weight=anchor.weight,
        reduce=anchor.reduce,
        count_include_pad=anchor.count_include_pad,
        taps=anchor.taps,
        epsilon=anchor.epsilon,
        epilogue=operations,
    )
