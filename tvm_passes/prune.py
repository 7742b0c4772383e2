"""index_map[stride s](f(conv1x1(x))) → index_map'(f(conv1x1_0(x_0)), f(conv1x1_1(x_1)), …), x_k = x[k::s].

A strided shift reads every s-th pixel of a channel, starting where the channel's shift says. All others
are computed for nobody. Channels whose pixels start at the same place form a class; each class is computed
by a convolution of its own, at its pixels alone: a quarter of the multiply-adds for a stride of 2. f is the
chain of element-wise functions with constants between the convolution and the map.
Preconditions: `refuse`. Place: after absorb_strides, before compose (which joins x_k with maps in front).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from tvm import relax
from tvm.ir import Call, Expr, IRModule, Var

from .absorb_strides import every
from .apply_index_map import index_map_call, index_map_of
from .array import Array
from .canonicalize.linear import Linear, linear_of
from .epilogue import channel_vector, is_elementwise
from .graph import Graph, Node
from .index_map import IndexMap, as_4d
from .piece import ChannelMap, Piece
from .relax_values import constant_of, shape_of
from .report import Report
from .uses import Uses

_WORTH_SAVING = 0.25
"""The share of the multiply-adds that must be saved: every class is a kernel of its own."""

Start = tuple[int, int]
"""The first row and column that a class of channels is read at, below the stride."""


@attrs.frozen(eq=False)
class Pruned:
    """What computes one source of an index map, and which of its pixels are read.

    linear:  the pointwise convolution.
    chain:   the element-wise nodes behind it, in order; the last makes the source.
    strides: between the pixels that are read, along rows and columns.
    classes: for every start, the channels that are read from it on.
    """

    linear: Linear
    chain: tuple[Node, ...]
    strides: tuple[int, int]
    classes: Mapping[Start, list[int]]

    @property
    def saved_macs(self) -> int:
        """Multiply-adds that are not done any more."""
        outputs, inputs = self.linear.weight.shape[:2]
        batch, _, rows, columns = shape_of(self.linear.node.var)
        pixels = batch * rows * columns
        read = sum(map(len, self.classes.values())) * pixels // math.prod(self.strides)
        return int(inputs * (outputs * pixels - read))


def prune(mod: IRModule, report: Report) -> IRModule:
    """Compute only what `main`'s strided index maps read of pointwise convolutions; report the savings."""
    graph = Graph.read(mod)
    uses = Uses(graph)
    for node in [n for n in graph.nodes if n.op == "index_map"]:
        for source in dict.fromkeys(node.variables):
            pruned = refuse(uses, node, source)
            if not isinstance(pruned, str):
                _rewrite(graph, node, source, pruned)
                uses = Uses(graph)
                report.pruned_macs += pruned.saved_macs
    graph.remove_dead()
    return graph.write(mod)


def refuse(uses: Uses, node: Node, source: Var) -> Pruned | str:
    """How the source of an index map is computed at the pixels it is read at; or why it is left whole."""
    chain = _chain(uses, source)
    if isinstance(chain, str):
        return chain
    linear, steps = chain
    index_map = index_map_of(node.call)
    pieces = [p for c in index_map.channels for p in c if node.args[p.source].same_as(source)]
    strides = _stride(pieces, axis=1), _stride(pieces, axis=2)
    if strides == (1, 1):
        return "neighbouring pixels are read"
    extents = shape_of(source)[2:]
    if any(extent % stride for extent, stride in zip(extents, strides, strict=True)):
        return f"a stride of {strides} does not divide planes of {extents}"
    classes: dict[Start, set[int]] = {}
    for piece in pieces:
        start = _first(piece, 1) % strides[0], _first(piece, 2) % strides[1]
        classes.setdefault(start, set()).add(piece.channel)
    read = sum(len(channels) for channels in classes.values()) / math.prod(strides)
    if read > (1 - _WORTH_SAVING) * shape_of(source)[1]:
        return "most pixels are read"
    return Pruned(linear, steps, strides, {start: sorted(classes[start]) for start in sorted(classes)})


def _chain(uses: Uses, source: Var) -> tuple[Linear, tuple[Node, ...]] | str:
    """The pointwise convolution that `source` comes from, and the functions between, read by nobody else."""
    chain: list[Node] = []
    value: Expr = source
    while True:
        node = uses.producer(value)
        if node is None:
            return "it is an input of the graph"
        if len(uses.consumers(node.var)) != 1 or uses.is_output(node.var):
            return f"{node.name} has other readers"
        linear = linear_of(node)
        if linear is not None:
            reason = _not_pointwise(linear)
            return (linear, tuple(reversed(chain))) if reason is None else reason
        if not is_elementwise(node) or len(node.variables) != 1:
            return f"{node.op} is neither a pointwise convolution nor a function of one value"
        if any(_sliced(arg, shape_of(node.var), []) is None for arg in node.args):
            return f"{node.op} has a constant that differs from pixel to pixel"
        chain.append(node)
        value = node.variables[0]


def _not_pointwise(linear: Linear) -> str | None:
    if not linear.is_pointwise:
        return "the convolution is not pointwise"
    if linear.groups != 1:
        return "the convolution is grouped"
    if linear.strides != (1, 1):
        return "the convolution has a stride"
    return None


def _first(piece: Piece, axis: int) -> int:
    """The first position of the source that the piece reads along an axis."""
    return piece.box.start[axis] * piece.stride[axis] + piece.offset[axis]


def _stride(pieces: Sequence[Piece], axis: int) -> int:
    """The largest stride by which the positions read along an axis can be divided into classes."""
    return math.gcd(*(p.stride[axis] for p in pieces if p.box.extents[axis] > 1)) or 1


def _sliced(constant: Expr, shape: tuple[int, ...], channels: Sequence[int]) -> Expr | None:
    """A constant operand for some channels of a tensor; None where it is more than one number per channel."""
    value = constant_of(constant)
    if value is None or value.size == 1:
        return constant
    vector = channel_vector(value, shape)
    if vector is None:
        # PReLU's slope is a vector, whatever the rank.
        vector = value if value.ndim == 1 and value.size == shape[1] else None
    if vector is None:
        return None
    kept: Array = vector[list(channels)].reshape([-1 if d != 1 else 1 for d in value.shape])
    return relax.const(np.ascontiguousarray(kept), str(value.dtype))


def _rewrite(graph: Graph, node: Node, source: Var, pruned: Pruned) -> None:
    """Insert the classes' convolutions in front of the map, and let the map read them."""
    computed = {start: _compute(graph, node, pruned, start) for start in pruned.classes}
    old = index_map_of(node.call)
    kept = [k for k, arg in enumerate(node.args) if not arg.same_as(source)]
    sources = [*(node.args[k] for k in kept), *computed.values()]
    of_start = {start: len(kept) + i for i, start in enumerate(computed)}

    def moved(piece: Piece) -> Piece:
        if piece.source in kept:
            return piece.of(kept.index(piece.source), piece.channel)
        return _of_class(piece, pruned, of_start)

    channels: tuple[ChannelMap, ...] = tuple(tuple(moved(p) for p in pieces) for pieces in old.channels)
    shapes = [as_4d(shape_of(s)) for s in sources]
    index_map = IndexMap(tuple(shapes), old.output, channels)
    node.call = index_map_call(index_map, sources, len(shape_of(node.var)))


def _of_class(piece: Piece, pruned: Pruned, of_start: Mapping[Start, int]) -> Piece:
    """The piece that reads the same pixels from its class."""
    offset, stride = list(piece.offset), list(piece.stride)
    start = [0, 0]
    for axis in (1, 2):
        step = pruned.strides[axis - 1]
        first, start[axis - 1] = divmod(_first(piece, axis), step)
        stride[axis] = piece.stride[axis] // step if piece.box.extents[axis] > 1 else 1
        offset[axis] = first - piece.box.start[axis] * stride[axis]
    key = (start[0], start[1])
    place = pruned.classes[key].index(piece.channel)
    (a, b, c), (d, e, f) = offset, stride
    return Piece(piece.box, of_start[key], place, (a, b, c), (d, e, f)).normalized()


def _compute(graph: Graph, before: Node, pruned: Pruned, start: Start) -> Var:
    """The source's channels of one class, at their pixels."""
    linear, channels = pruned.linear, pruned.classes[start]
    reads = every(as_4d(shape_of(linear.data)), pruned.strides, start)
    node = graph.insert_before(before, index_map_call(reads, [linear.data]), linear.node.name)
    weight = relax.const(linear.weight[channels], str(linear.weight.dtype))
    attributes = linear.node.call.attrs
    call = Call(linear.node.call.op, [node.var, weight], attributes, linear.node.call.ty_args)
    node = graph.insert_before(before, call, linear.node.name)
    for step in pruned.chain:
        shape = shape_of(step.var)
        args = [node.var if isinstance(a, Var) else _sliced(a, shape, channels) for a in step.call.args]
        node = graph.insert_before(
            before, Call(step.call.op, args, step.call.attrs, step.call.ty_args), step.name
        )
    return node.var
