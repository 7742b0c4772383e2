"""Pools over windows and planes, and other weighted sums over windows, as heads of stages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .anchor_form import Anchor, Window, ints
from .graph import Node
from .relax_values import constant_of, shape_of
from .window_taps import WindowTaps, has_empty


def window_pool(reduce: str) -> Callable[[Node], Anchor | str]:
    """Of Relax's pools of planes; one window over all of a plane is a global pool."""

    def read(node: Node) -> Anchor | str:
        a = node.call.attrs
        if a.layout != "NCHW":
            return f"a pool in layout {a.layout}"
        kernel, stride, dilation = ints(a.pool_size), ints(a.strides), ints(a.dilation)
        top, left, bottom, right = ints(a.padding)
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


def window_sum(node: Node) -> Anchor | str:
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


def global_pool(reduce: str) -> Callable[[Node], Anchor | str]:
    """Of Relax's reductions, those over rows and columns."""

    def read(node: Node) -> Anchor | str:
        shape = shape_of(node.call.args[0])
        axes = sorted(int(x) % len(shape) for x in node.call.attrs.axis or range(len(shape)))
        if len(shape) != 4 or axes != [2, 3]:
            return f"a reduction over axes {axes}"
        return Anchor("global_pool", node.call.args[0], reduce=reduce)

    return read


def adaptive_pool(reduce: str) -> Callable[[Node], Anchor | str]:
    """Of Relax's adaptive pools, those to one pixel."""

    def read(node: Node) -> Anchor | str:
        if shape_of(node.var)[2:] != (1, 1):
            return "an adaptive pool to more than one pixel"
        return Anchor("global_pool", node.call.args[0], reduce=reduce)

    return read
