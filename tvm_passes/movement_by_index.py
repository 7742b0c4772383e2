"""Movement by constant indices: gathers, scatters, one-hot convolutions, index maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tvm.ir import Call

from .apply_index_map import index_map_of
from .array import Array
from .movement_table import Apply, Constant, Plan, ints, moves, static_shape
from .movement_tir import NotMovementError


@moves("relax.take")
def _take(call: Call, ty: Any, constant: Constant) -> Plan:
    indices, axis = constant(call.args[1]), call.attrs.axis
    return call.args[:1], lambda v: np.take(v[0], indices, None if axis is None else int(axis))


@moves("relax.gather_elements")
def _gather_elements(call: Call, ty: Any, constant: Constant) -> Plan:
    elements = _elements(constant(call.args[1]), int(call.attrs.axis))
    return call.args[:1], lambda v: v[0][elements]


@moves("relax.gather_nd")
def _gather_nd(call: Call, ty: Any, constant: Constant) -> Plan:
    if int(call.attrs.batch_dims) != 0:
        raise NotMovementError("gathers with batch dimensions")
    indices = tuple(np.moveaxis(constant(call.args[1]), -1, 0))
    return call.args[:1], lambda v: v[0][indices]


@moves("relax.scatter_nd")
def _scatter_nd(call: Call, ty: Any, constant: Constant) -> Plan:
    _update_only(str(call.attrs.reduction))
    indices = tuple(np.moveaxis(constant(call.args[1]), -1, 0))
    return (call.args[0], call.args[2]), _assignment(indices)


@moves("relax.index_put")
def _index_put(call: Call, ty: Any, constant: Constant) -> Plan:
    _update_only("add" if call.attrs.accumulate else "update")
    return (call.args[0], call.args[2]), _assignment(tuple(constant(i) for i in call.args[1].fields))


@moves("relax.slice_scatter")
def _slice_scatter(call: Call, ty: Any, constant: Constant) -> Plan:
    begin, end, step = ints(call.args[2:5])
    axis = int(call.attrs.axis) % len(ty.shape)
    return call.args[:2], _assignment((slice(None),) * axis + (slice(begin, end, step),))


@moves("relax.scatter_elements")
def _scatter_elements(call: Call, ty: Any, constant: Constant) -> Plan:
    _update_only(str(call.attrs.reduction))
    elements = _elements(constant(call.args[1]), int(call.attrs.axis))
    return (call.args[0], call.args[2]), _assignment(elements)


def _elements(indices: Array, axis: int) -> tuple[Any, ...]:
    """Those that indices along an axis stand for: where they are fewer than the data's rows, of the first."""
    places: list[Any] = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    places[axis] = indices
    return tuple(places)


def _update_only(reduction: str) -> None:
    if reduction not in ("update", "none"):
        raise NotMovementError(f"scatters with {reduction}")


def _assignment(indices: tuple[Any, ...]) -> Apply:
    def apply(values: Sequence[Array]) -> Array:
        out = np.array(values[0], np.result_type(*values))
        out[indices] = values[1]
        return out

    return apply


# --- convolutions with one-hot filters, index maps --------------------------------------------------


@moves("relax.nn.conv2d")
def _one_hot_conv2d(call: Call, ty: Any, constant: Constant) -> Plan:
    """A convolution all of whose filters have one 1 at most and zeros: the usual export of shift."""
    attributes = call.attrs
    try:
        weight = constant(call.args[1])
    except NotMovementError:
        raise NotMovementError("relax.nn.conv2d computes") from None
    if (str(attributes.data_layout), str(attributes.kernel_layout)) != ("NCHW", "OIHW"):
        raise NotMovementError("relax.nn.conv2d computes, in another layout than NCHW")
    taps = weight.reshape(weight.shape[0], -1)
    counts = np.count_nonzero(taps, axis=1)
    if counts.max() != 1 or not ((taps == 0) | (taps == 1)).all():
        raise NotMovementError("relax.nn.conv2d computes")
    inner, rows, columns = np.unravel_index(taps.argmax(axis=1), weight.shape[1:])
    group = np.arange(weight.shape[0]) // (weight.shape[0] // int(attributes.groups))
    source = np.where(counts == 1, group * weight.shape[1] + inner, -1)
    (sy, sx), (dy, dx) = ints(attributes.strides), ints(attributes.dilation)
    top, left, bottom, right = ints(attributes.padding)
    shape = static_shape(ty)

    def apply(values: Sequence[Array]) -> Array:
        padded = np.pad(values[0], ((0, 0), (0, 0), (top, bottom), (left, right)))
        out = np.zeros(shape, values[0].dtype)
        for row, column in set(zip(rows.tolist(), columns.tolist(), strict=True)):
            targets = np.flatnonzero((rows == row) & (columns == column) & (source >= 0))
            window = padded[:, :, row * dy :: sy, column * dx :: sx][:, :, : shape[2], : shape[3]]
            out[:, targets] = window[:, source[targets]]
        return out

    return call.args[:1], apply


@moves("index_map")
def _index_map(call: Call, ty: Any, constant: Constant) -> Plan:
    index_map, shape = index_map_of(call), static_shape(ty)
    return call.args[1:-1], lambda v: index_map.apply(v).reshape(shape)
