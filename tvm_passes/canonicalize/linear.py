"""Convolutions and matrix products by a constant: what scaling their channels does to the weight.

    s * (W x) = (s W) x,    W (s x) = (W s) x,    W (x + b) = W x + W b

Here is how; the rules say when.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.ir import Call, Expr

from ..array import Array
from ..epilogue import channel_vector
from ..graph import Node
from ..relax_values import constant_of, shape_of


@attrs.frozen(eq=False)
class Linear:
    """A node `y = conv2d(x, W)` (NCHW, OIHW) or `y = matmul(x, W)` with W of rank 2.

    weight: [O, I / groups, kh, kw], or [K, M].
    axis:   of the channels, in x and in y.
    """

    node: Node
    weight: Array
    groups: int
    axis: int

    @property
    def data(self) -> Expr:
        return self.node.call.args[0]

    @property
    def is_conv(self) -> bool:
        return self.weight.ndim == 4

    @property
    def is_depthwise(self) -> bool:
        """One input channel for every output channel."""
        return self.is_conv and self.weight.shape[:2] == (self.groups, 1)

    @property
    def is_movement(self) -> bool:
        """Every output is one of the inputs, or zero: the usual export of shift."""
        taps = self.weight.reshape(len(self.weight), -1)
        return self.is_conv and bool(((taps == 0) | (taps == 1)).all() and (taps.sum(axis=1) <= 1).all())

    @property
    def is_padded(self) -> bool:
        return self.is_conv and any(int(p) for p in self.node.call.attrs.padding)

    @property
    def is_pointwise(self) -> bool:
        """A 1 x 1 convolution: every output pixel reads one pixel, none of them padding."""
        return self.is_conv and self.weight.shape[2:] == (1, 1) and not self.is_padded

    @property
    def strides(self) -> tuple[int, int]:
        """Of a convolution, along rows and columns."""
        rows, columns = (int(s) for s in self.node.call.attrs.strides)
        return rows, columns

    def scale_outputs(self, scale: Array) -> Linear:
        """Make the node compute s * (W x); `scale` is one number per output channel."""
        return self._with(self._rows() * scale.reshape(self.groups, -1, 1, 1))

    def scale_inputs(self, scale: Array) -> Linear:
        """Make the node compute W (s x); `scale` is one number per input channel."""
        return self._with(self._rows() * scale.reshape(self.groups, 1, -1, 1))

    def of_offset(self, offset: Array) -> Array:
        """W b for a constant b per input channel, where no padding is read: one number per output channel."""
        return np.asarray((self._rows() * offset.reshape(self.groups, 1, -1, 1)).sum(axis=(2, 3)).reshape(-1))

    def vector(self, constant: Array, shape: tuple[int, ...]) -> Array | None:
        """A constant operand of x or y, of this shape, as one number per channel; None if it is more."""
        return channel_vector(constant, shape, self.axis)

    def per_channel(self, vector: Array) -> Expr:
        """A constant of y's type that broadcasts along its channels."""
        shape = [1] * len(shape_of(self.node.var))
        shape[self.axis] = -1
        return relax.const(vector.reshape(shape), str(self.weight.dtype))

    def _rows(self) -> npt.NDArray[np.float64]:
        """The weight as [groups, outputs of a group, inputs of a group, taps]."""
        rows = self.weight if self.is_conv else self.weight.T
        outputs, inputs = rows.shape[:2]
        return rows.reshape(self.groups, outputs // self.groups, inputs, -1).astype(np.float64)

    def _with(self, rows: Array) -> Linear:
        shaped = rows.reshape(self.weight.shape) if self.is_conv else rows.reshape(self.weight.shape[::-1]).T
        weight = np.ascontiguousarray(shaped.astype(self.weight.dtype))
        constant = relax.const(weight, str(weight.dtype))
        call = self.node.call
        self.node.call = Call(call.op, [call.args[0], constant], call.attrs, call.ty_args)
        return attrs.evolve(self, weight=weight)


def linear_of(node: Node | None) -> Linear | None:
    """The node as a linear operator with a constant floating-point weight; None for any other node."""
    if node is None or node.op not in ("relax.nn.conv2d", "relax.matmul"):
        return None
    weight = constant_of(node.call.args[1])
    if weight is None or not np.issubdtype(weight.dtype, np.floating):
        return None
    attributes = node.call.attrs
    if node.op == "relax.matmul":
        rank = len(shape_of(node.var))
        return Linear(node, weight, 1, rank - 1) if weight.ndim == 2 else None
    layouts = (str(attributes.data_layout), str(attributes.kernel_layout), str(attributes.out_layout))
    return Linear(node, weight, int(attributes.groups), 1) if layouts == ("NCHW", "OIHW", "NCHW") else None


def constant_operand(node: Node | None, op: str) -> tuple[Expr, Array] | None:
    """x and the constant of `x op constant` where the result has x's shape; None for any other node."""
    if node is None or node.op != op:
        return None
    for data, other in (node.call.args, reversed(node.call.args)):
        constant = constant_of(other)
        if constant is not None and constant_of(data) is None and shape_of(data) == shape_of(node.var):
            return data, constant
    return None
