"""Which operators can head a stage, and their attributes as plain data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .anchor_form import Anchor, Window, ints
from .graph import Node
from .pool_anchors import adaptive_pool, global_pool, window_pool, window_sum
from .relax_values import constant_of, dtype_of, shape_of

__all__ = ["Anchor", "Window", "anchor_of"]


def anchor_of(node: Node) -> Anchor | str:
    """The anchor a node is, or why it is none. Float32 tensors of rank 2 or 4 only."""
    reader = _ANCHORS.get(node.op)
    if reader is None:
        return f"{node.op} is no anchor"
    tensors = [node.call.args[0], node.var]
    if any(dtype_of(t) != "float32" for t in tensors):
        return f"{node.op} on {dtype_of(node.var)}"
    if any(len(shape_of(t)) not in (2, 4) for t in tensors):
        return f"{node.op} on rank {len(shape_of(node.call.args[0]))}"
    return reader(node)


def _convolution(node: Node) -> Anchor | str:
    a = node.call.attrs
    weight = constant_of(node.call.args[1])
    if weight is None:
        return "a convolution whose weight is not constant"
    if (a.data_layout, a.kernel_layout) != ("NCHW", "OIHW"):
        return f"a convolution in layout {a.data_layout}"
    top, left, bottom, right = ints(a.padding)
    strides, dilation = ints(a.strides), ints(a.dilation)
    window = Window(
        (int(weight.shape[2]), int(weight.shape[3])),
        (strides[0], strides[1]),
        (top, left, bottom, right),
        (dilation[0], dilation[1]),
    )
    groups = int(a.groups)
    channels = shape_of(node.call.args[0])[1]
    kind = "depthwise" if groups > 1 and groups == channels == weight.shape[0] else "convolution"
    return Anchor(kind, node.call.args[0], window, groups, weight.astype(np.float32, copy=False))


def _transposed_convolution(node: Node) -> Anchor | str:
    """As a convolution by the flipped filters, of stride 1 over elements that lie `strides` apart."""
    a = node.call.attrs
    weight = constant_of(node.call.args[1])
    if weight is None:
        return "a transposed convolution whose weight is not constant"
    if (a.data_layout, a.kernel_layout) != ("NCHW", "IOHW"):
        return f"a transposed convolution in layout {a.data_layout}"
    rows, columns = int(weight.shape[2]), int(weight.shape[3])
    strides, dilation = ints(a.strides), ints(a.dilation)
    after = [int(extra) for extra in a.output_padding]
    top, left, bottom, right = (
        (extent - 1) * dilation[axis] - cut
        for axis, extent, cut in zip((0, 1, 0, 1), (rows, columns) * 2, ints(a.padding), strict=True)
    )
    window = Window(
        (rows, columns),
        (1, 1),
        (top, left, bottom + after[0], right + after[1]),
        (dilation[0], dilation[1]),
        (strides[0], strides[1]),
    )
    groups, (inputs, outputs) = int(a.groups), weight.shape[:2]
    by_group = weight.reshape(groups, inputs // groups, outputs, rows, columns)
    flipped = by_group.swapaxes(1, 2).reshape(groups * outputs, -1, rows, columns)[..., ::-1, ::-1]
    kind = "depthwise" if 1 < groups == inputs and outputs == 1 else "convolution"
    return Anchor(kind, node.call.args[0], window, groups, np.ascontiguousarray(flipped, np.float32))


def _matmul(node: Node) -> Anchor | str:
    weight = constant_of(node.call.args[1])
    if weight is None or weight.ndim != 2 or len(shape_of(node.call.args[0])) != 2:
        return "a matrix multiplication that is not [N, K] by a constant [K, M]"
    return Anchor("convolution", node.call.args[0], weight=np.ascontiguousarray(weight.T)[:, :, None, None])


def _over_channels(node: Node) -> Anchor | str:
    """A layer_norm without scale and offset, which canonicalize makes operators of their own."""
    axes = [int(axis) % len(shape_of(node.var)) for axis in node.call.attrs.axes]
    if axes != [1]:
        return f"{node.op} over axes {axes}"
    if not _is_neutral(node):
        return f"{node.op} with a scale or offset"
    return Anchor("layer_norm", node.call.args[0], epsilon=float(node.call.attrs.epsilon))


def _over_planes(node: Node) -> Anchor | str:
    a = node.call.attrs
    if len(shape_of(node.var)) != 4 or int(a.channel_axis) != 1 or sorted(ints(a.axes)) != [2, 3]:
        return f"{node.op} over axes {list(ints(a.axes))}"
    if not _is_neutral(node):
        return f"{node.op} with a scale or offset"
    return Anchor("group_norm", node.call.args[0], groups=int(a.num_groups), epsilon=float(a.epsilon))


def _is_neutral(node: Node) -> bool:
    """Scale and offset of a normalization are ones and zeros."""
    constants = [constant_of(arg) for arg in node.call.args[1:]]
    return all(c is not None and (c == n).all() for c, n in zip(constants, (1, 0), strict=False))


def _softmax(node: Node) -> Anchor | str:
    axis = int(node.call.attrs.axis) % len(shape_of(node.var))
    return Anchor("softmax", node.call.args[0]) if axis == 1 else f"a softmax over axis {axis}"


_ANCHORS: dict[str, Callable[[Node], Anchor | str]] = {
    "relax.nn.conv2d": _convolution,
    "relax.nn.conv2d_transpose": _transposed_convolution,
    "relax.matmul": _matmul,
    "relax.nn.max_pool2d": window_pool("max"),
    "relax.nn.avg_pool2d": window_pool("avg"),
    "shiftc.window_sum": window_sum,
    "relax.mean": global_pool("avg"),
    "relax.max": global_pool("max"),
    "relax.nn.adaptive_avg_pool2d": adaptive_pool("avg"),
    "relax.nn.layer_norm": _over_channels,
    "relax.nn.group_norm": _over_planes,
    "relax.nn.softmax": _softmax,
}
