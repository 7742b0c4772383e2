"""Which operators can head a stage, and their attributes as plain data."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from tvm.ir import Expr

from .array import Array
from .graph import Node
from .relax_values import constant_of, dtype_of, shape_of
from .window_taps import WindowTaps, has_empty


@attrs.frozen
class Window:
    """Kernel, stride, padding (top, left, bottom, right) and dilation of a convolution or pool.

    spacing: how far apart the operand's elements lie; between them are zeros. A convolution over such an
             operand is a transposed one; its stride is 1.
    """

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    spacing: tuple[int, int] = (1, 1)

    @property
    def padded(self) -> bool:
        """The window reads zeros that lie beyond the operand's plane, or may."""
        return any(self.padding) or self.spaced

    @property
    def spaced(self) -> bool:
        """Between the operand's elements are zeros."""
        return self.spacing != (1, 1)

    def places(self, axis: int) -> Array:
        """Where along an axis the first output reads its taps, zeros between elements counted: int [taps]."""
        return np.arange(self.kernel[axis]) * self.dilation[axis] - self.padding[axis]

    def residues(self, axis: int, outputs: int) -> Array:
        """How far beyond an element of the operand each output lies: int [outputs]."""
        return np.arange(outputs) * self.stride[axis] % self.spacing[axis]

    def taps_of(self, axis: int, residue: int) -> Array:
        """The taps along an axis that fall on the operand's elements for outputs of this residue."""
        return np.flatnonzero((residue + self.places(axis)) % self.spacing[axis] == 0)

    def taken(self, axis: int, outputs: int) -> int:
        """How many taps along an axis all outputs together take."""
        numbers, counts = np.unique(self.residues(axis, outputs), return_counts=True)
        return sum(
            int(count) * self.taps_of(axis, int(residue)).size
            for residue, count in zip(numbers, counts, strict=True)
        )

    def skips(self, axis: int) -> bool:
        """Some outputs read nothing: all their taps fall between elements."""
        return any(not self.taps_of(axis, residue).size for residue in range(self.spacing[axis]))


@attrs.frozen(eq=False)
class Anchor:
    """What an operator is as the head of a stage, before its operand and epilogue are known."""

    kind: str
    data: Expr
    window: Window = Window()
    groups: int = 1
    weight: Array | None = None
    reduce: str = "max"
    count_include_pad: bool = False
    taps: tuple[WindowTaps, WindowTaps] | None = None
    epsilon: float = 0.0


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


def _ints(values: object) -> tuple[int, ...]:
    return tuple(int(v) for v in values)  # type: ignore[attr-defined]


def _convolution(node: Node) -> Anchor | str:
    a = node.call.attrs
    weight = constant_of(node.call.args[1])
    if weight is None:
        return "a convolution whose weight is not constant"
    if (a.data_layout, a.kernel_layout) != ("NCHW", "OIHW"):
        return f"a convolution in layout {a.data_layout}"
    top, left, bottom, right = _ints(a.padding)
    strides, dilation = _ints(a.strides), _ints(a.dilation)
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
    strides, dilation = _ints(a.strides), _ints(a.dilation)
    after = [int(extra) for extra in a.output_padding]
    top, left, bottom, right = (
        (extent - 1) * dilation[axis] - cut
        for axis, extent, cut in zip((0, 1, 0, 1), (rows, columns) * 2, _ints(a.padding), strict=True)
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


def _window_pool(reduce: str) -> Callable[[Node], Anchor | str]:
    def read(node: Node) -> Anchor | str:
        a = node.call.attrs
        if a.layout != "NCHW":
            return f"a pool in layout {a.layout}"
        kernel, stride, dilation = _ints(a.pool_size), _ints(a.strides), _ints(a.dilation)
        top, left, bottom, right = _ints(a.padding)
        window = Window(
            (kernel[0], kernel[1]),
            (stride[0], stride[1]),
            (top, left, bottom, right),
            (dilation[0], dilation[1]),
        )
        rows, columns = shape_of(node.call.args[0])[2:]
        if (
            kernel == (rows, columns)
            and not window.padded
            and shape_of(node.var)[2:] == (1, 1)
            and dilation == (1, 1)
        ):
            return Anchor("global_pool", node.call.args[0], reduce=reduce)
        if reduce == "max" and any(
            has_empty(kernel[i], stride[i], window.padding[i], dilation[i], shape_of(node.var)[2 + i], size)
            for i, size in enumerate((rows, columns))
        ):
            return "a maximum over nothing but padding"
        include = bool(a.count_include_pad) if reduce == "avg" else False
        return Anchor("window_pool", node.call.args[0], window, reduce=reduce, count_include_pad=include)

    return read


def _window_sum(node: Node) -> Anchor | str:
    """Sums over rows and columns of planes; with one tap of weight one, elements that are chosen."""
    data, axes, *tables = node.call.args
    found = [int(axis) for axis in axes.values]
    shape = shape_of(data)
    if len(shape) != 4 or not set(found) <= {2, 3}:
        return f"{node.op} over axes {found}"
    taps = {axis: _whole_axis(shape[axis]) for axis in (2, 3)}
    for axis, index, weight in zip(found, tables[0::2], tables[1::2], strict=True):
        indices, weights = constant_of(index), constant_of(weight)
        if indices is None or weights is None:
            return f"{node.op} whose tables are not constant"
        taps[axis] = WindowTaps(indices.astype(np.int64), weights)
    chooses = all(t.count == 1 and (t.weight == 1).all() for t in taps.values())
    reduce = "max" if chooses else "avg"
    return Anchor("window_pool", data, reduce=reduce, taps=(taps[2], taps[3]))


def _whole_axis(size: int) -> WindowTaps:
    """Every element once."""
    return WindowTaps(np.arange(size)[:, None], np.ones((size, 1), np.float32))


def _global_pool(reduce: str) -> Callable[[Node], Anchor | str]:
    def read(node: Node) -> Anchor | str:
        shape = shape_of(node.call.args[0])
        axes = sorted(int(x) % len(shape) for x in node.call.attrs.axis or range(len(shape)))
        if len(shape) != 4 or axes != [2, 3]:
            return f"a reduction over axes {axes}"
        return Anchor("global_pool", node.call.args[0], reduce=reduce)

    return read


def _adaptive_pool(reduce: str) -> Callable[[Node], Anchor | str]:
    def read(node: Node) -> Anchor | str:
        if shape_of(node.var)[2:] != (1, 1):
            return "an adaptive pool to more than one pixel"
        return Anchor("global_pool", node.call.args[0], reduce=reduce)

    return read


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
    if len(shape_of(node.var)) != 4 or int(a.channel_axis) != 1 or sorted(_ints(a.axes)) != [2, 3]:
        return f"{node.op} over axes {list(_ints(a.axes))}"
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
    "relax.nn.max_pool2d": _window_pool("max"),
    "relax.nn.avg_pool2d": _window_pool("avg"),
    "shiftc.window_sum": _window_sum,
    "relax.mean": _global_pool("avg"),
    "relax.max": _global_pool("max"),
    "relax.nn.adaptive_avg_pool2d": _adaptive_pool("avg"),
    "relax.nn.layer_norm": _over_channels,
    "relax.nn.group_norm": _over_planes,
    "relax.nn.softmax": _softmax,
}
