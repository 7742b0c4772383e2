"""Tensors that are the planes of another under a different shape and order: what permutes and reshapes made.

    channels first:  t = reshape(x, shape)                                  x: [N, C, H, W]
    channels last:   t = reshape(permute_dims(x, (0, 2, 3, 1)), shape)

Linear layers and element-wise functions over t are the same over x: the rules that use this move them
there, and the permutes behind them.
"""

from __future__ import annotations

import attrs
import numpy as np
from tvm import relax
from tvm.ir import Expr, Var

from ..array import Array
from ..graph import Graph, Node
from ..relax_values import dtype_of, shape_of

RESHAPES = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten")
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)

Shape = tuple[int, ...]


@attrs.frozen(eq=False)
class PlaneView:
    """A tensor as the planes [N, C, H, W] of another, channels last or first."""

    planes: Expr
    last: bool

    @property
    def shape(self) -> Shape:
        """(N, C, H, W)."""
        return shape_of(self.planes)

    @property
    def channels(self) -> int:
        return self.shape[1]

    def is_natural(self, shape: Shape) -> bool:
        """A tensor of this shape is no planes of its own: of rank 4, only with this batch and size."""
        ordered = tuple(self.shape[axis] for axis in TO_LAST) if self.last else self.shape
        return len(shape) != 4 or shape == ordered

    def matches(self, other: PlaneView) -> bool:
        """Equal positions of two tensors of one shape are equal positions of their planes."""
        return (self.last, self.shape) == (other.last, other.shape)

    def through(self, node: Node) -> PlaneView | None:
        """The view of a reshape or permute of this tensor; None where the order is another."""
        if node.op in RESHAPES:
            return self
        if node.op != "relax.permute_dims":
            return None
        shape = shape_of(node.call.args[0])
        axes = node.call.attrs.axes
        order = tuple(reversed(range(len(shape)))) if axes is None else tuple(int(a) for a in axes)
        for batch_axes in range(len(shape)):
            to_first, to_last = _orders(len(shape), batch_axes)
            if _splits(shape, batch_axes, self) and order == (to_first if self.last else to_last):
                return PlaneView(self.planes, not self.last)
        return None

    def constant(self, array: Array, shape: Shape) -> Array:
        """A constant that is broadcast to the tensor's shape, as one that is broadcast to the planes."""
        if array.size == 1:
            return array.reshape((1,) * min(array.ndim, 4))
        n, c, h, w = self.shape
        full: Array = np.broadcast_to(array, shape)
        planes: Array = (
            full.reshape(n, h, w, c).transpose(TO_FIRST) if self.last else full.reshape(n, c, h, w)
        )
        for axis in range(4):
            first = planes.take([0], axis)
            if (planes == first).all():
                planes = first
        return np.ascontiguousarray(planes)

    def of(self, planes: Expr) -> PlaneView:
        """The same view of other planes of the same batch and size."""
        return PlaneView(planes, self.last)

    def seen(self, graph: Graph, before: Node, shape: Shape) -> Expr:
        """The operator that makes a tensor of this shape of the planes; one it reads is put in front."""
        if not self.last:
            return relax.op.reshape(self.planes, shape)
        permuted = relax.op.permute_dims(self.planes, list(TO_LAST))
        if shape == tuple(self.shape[axis] for axis in TO_LAST):
            return permuted
        return relax.op.reshape(graph.insert_before(before, permuted, before.name).var, shape)


def planes_of(graph: Graph, before: Node, tensor: Expr, shape: Shape, last: bool) -> PlaneView:
    """Planes (N, C, H, W) made of a tensor whose elements are in that order, channels last or first."""
    n, c, h, w = shape
    ordered = (n, h, w, c) if last else shape
    planes = tensor
    if shape_of(tensor) != ordered:
        planes = graph.insert_before(before, relax.op.reshape(tensor, ordered), before.name).var
    if last:
        permuted = relax.op.permute_dims(planes, list(TO_FIRST))
        planes = graph.insert_before(before, permuted, before.name).var
    return PlaneView(planes, last)


class PlaneViews:
    """The views of a graph's tensors, as far as its nodes have been passed."""

    def __init__(self, graph: Graph) -> None:
        self._views: dict[Var, PlaneView] = {}
        self._sizes = _sizes_of_tokens(graph)

    def of(self, tensor: Expr) -> PlaneView | None:
        """The view of a tensor; tensors of rank 4 are planes themselves unless they are known as others'."""
        if not isinstance(tensor, Var) or not isinstance(tensor.ty, relax.TensorType):
            return None
        if tensor not in self._views and len(shape_of(tensor)) == 4:
            return PlaneView(tensor, last=False)
        return self._views.get(tensor)

    def size_of_tokens(self, batch: int, length: int) -> tuple[int, int]:
        """Rows and columns of the plane that so many tokens are, as other nodes of the graph have it."""
        return self._sizes.get((batch, length), (length, 1))

    def note(self, tensor: Var, view: PlaneView) -> None:
        """The tensor has this view."""
        self._views[tensor] = view

    def follow(self, node: Node) -> None:
        """Note the view of a reshape or permute."""
        if node.op in (*RESHAPES, "relax.permute_dims") and dtype_of(node.var) == "float32":
            view = self.of(node.call.args[0])
            found = None if view is None else view.through(node)
            if found is not None and found.is_natural(shape_of(node.var)):
                self._views[node.var] = found


def _orders(rank: int, batch_axes: int) -> tuple[Shape, Shape]:
    """The permutations that put the channel axis behind the batch, and last."""
    batch = tuple(range(batch_axes))
    to_first = (*batch, rank - 1, *range(batch_axes, rank - 1))
    to_last = (*batch, *range(batch_axes + 1, rank), batch_axes)
    return to_first, to_last


def _splits(shape: Shape, batch_axes: int, view: PlaneView) -> bool:
    """The first axes are the view's batch, one behind them or the last its channels."""
    channel_axis = len(shape) - 1 if view.last else batch_axes
    return int(np.prod(shape[:batch_axes])) == view.shape[0] and shape[channel_axis] == view.channels


def _sizes_of_tokens(graph: Graph) -> dict[tuple[int, int], tuple[int, int]]:
    """(rows, columns) by (batch, tokens), from reshapes between tokens and planes, where they agree."""
    found: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for node in graph.nodes:
        if node.op not in RESHAPES:
            continue
        shapes = sorted((shape_of(node.call.args[0]), shape_of(node.var)), key=len)
        if [len(shape) for shape in shapes] != [3, 4] or shapes[0][0] != shapes[1][0]:
            continue
        (batch, middle, last), (_, a, b, c) = shapes
        if (middle, last) == (a, b * c):
            found.setdefault((batch, last), set()).add((b, c))
        elif (middle, last) == (a * b, c):
            found.setdefault((batch, middle), set()).add((a, b))
    return {tokens: next(iter(sizes)) for tokens, sizes in found.items() if len(sizes) == 1}
