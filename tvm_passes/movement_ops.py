"""The Relax operators that only move data, each as a numpy function of the tensors it moves.

Every entry of `MOVES` takes (call, type of the result, constant), where `constant` gives the array of a
constant operand or raises NotMovement, and returns the operands that are moved and the function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm.ir import Call, Expr, Tuple
from tvm.tirx import IntImm

from .apply_index_map import index_map_of
from .movement_tir import Array, NotMovement

Constant = Callable[[Expr], Array]
Apply = Callable[[Sequence[Any]], Any]
Plan = tuple[Sequence[Expr], Apply]
Planner = Callable[[Call, Any, Constant], Plan]

MOVES: dict[str, Planner] = {}


def _moves(*names: str) -> Callable[[Planner], Planner]:
    def register(planner: Planner) -> Planner:
        MOVES.update((name, planner) for name in names)
        return planner

    return register


def _ints(values: Any) -> list[int]:
    """A tuple of prim values, or an array of integers, as Python integers."""
    fields = values.fields if isinstance(values, Tuple) else values
    return [int(getattr(v, "value", v)) for v in fields]


def _shape(ty: Any) -> tuple[int, ...]:
    return tuple(int(d) for d in ty.shape)


# --- one tensor, another shape -------------------------------------------------------------------


@_moves("relax.reshape", "relax.flatten", "relax.squeeze", "relax.expand_dims", "relax.memory.view",
        "relax.shape_to_tensor")  # fmt: skip
def _reshape(call: Call, ty: Any, constant: Constant) -> Plan:
    shape = _shape(ty)
    return call.args[:1], lambda v: v[0].reshape(shape)


@_moves("relax.permute_dims")
def _permute_dims(call: Call, ty: Any, constant: Constant) -> Plan:
    axes = None if call.attrs.axes is None else _ints(call.attrs.axes)
    return call.args[:1], lambda v: np.transpose(v[0], axes)


@_moves("relax.astype")
def _astype(call: Call, ty: Any, constant: Constant) -> Plan:
    if str(call.args[0].ty.dtype) != str(ty.dtype):
        raise NotMovement(f"converts {call.args[0].ty.dtype} to {ty.dtype}")
    return call.args[:1], lambda v: v[0]


@_moves("relax.broadcast_to")
def _broadcast_to(call: Call, ty: Any, constant: Constant) -> Plan:
    shape = _shape(ty)
    return call.args[:1], lambda v: np.broadcast_to(v[0], shape)


@_moves("relax.zeros", "relax.zeros_like")
def _zeros(call: Call, ty: Any, constant: Constant) -> Plan:
    shape = _shape(ty)
    return (), lambda v: np.zeros(shape, np.int32)


@_moves("relax.full", "relax.full_like")
def _full(call: Call, ty: Any, constant: Constant) -> Plan:
    if constant(call.args[1]).any():
        raise NotMovement("fills in a constant that is not zero")
    return _zeros(call, ty, constant)


@_moves("relax.flip")
def _flip(call: Call, ty: Any, constant: Constant) -> Plan:
    axis = int(call.attrs.axis)
    return call.args[:1], lambda v: np.flip(v[0], axis)


@_moves("relax.tile")
def _tile(call: Call, ty: Any, constant: Constant) -> Plan:
    repeats = _ints(call.attrs.repeats)
    return call.args[:1], lambda v: np.tile(v[0], repeats)


@_moves("relax.repeat")
def _repeat(call: Call, ty: Any, constant: Constant) -> Plan:
    repeats, axis = int(call.attrs.repeats), call.attrs.axis
    return call.args[:1], lambda v: np.repeat(v[0], repeats, None if axis is None else int(axis))


@_moves("relax.nn.pad")
def _pad(call: Call, ty: Any, constant: Constant) -> Plan:
    width = _ints(call.attrs.pad_width)
    pairs = list(zip(width[0::2], width[1::2], strict=True))
    mode = str(call.attrs.pad_mode)
    if mode == "constant" and float(call.attrs.pad_value) != 0:
        raise NotMovement(f"fills in the constant {float(call.attrs.pad_value):g}")
    modes = {"constant": "constant", "edge": "edge", "replicate": "edge", "reflect": "reflect",
             "circular": "wrap"}  # fmt: skip
    if mode not in modes or min(width) < 0:
        raise NotMovement(f"pads by {width} in mode {mode}")
    return call.args[:1], lambda v: np.pad(v[0], pairs, mode=modes[mode])  # type: ignore[call-overload]


@_moves("relax.nn.pixel_shuffle")
def _pixel_shuffle(call: Call, ty: Any, constant: Constant) -> Plan:
    factor, shape = int(call.attrs.upscale_factor), _shape(ty)

    def apply(values: Sequence[Array]) -> Array:
        n, c, h, w = values[0].shape
        parts = values[0].reshape(n, c // factor**2, factor, factor, h, w)
        return parts.transpose(0, 1, 4, 2, 5, 3).reshape(shape)

    return call.args[:1], apply


# --- parts of a tensor, and tensors made of parts -------------------------------------------------


@_moves("relax.strided_slice")
def _strided_slice(call: Call, ty: Any, constant: Constant) -> Plan:
    axes, begin, end = (_ints(arg) for arg in call.args[1:4])
    steps = _ints(call.args[4]) if len(call.args) > 4 else [1] * len(axes)
    return _sliced(call, ty, dict(zip(axes, zip(begin, end, steps, strict=True), strict=True)))


@_moves("relax.dynamic_strided_slice")
def _dynamic_strided_slice(call: Call, ty: Any, constant: Constant) -> Plan:
    begin, end, steps = (constant(arg).tolist() for arg in call.args[1:4])
    return _sliced(call, ty, dict(enumerate(zip(begin, end, steps, strict=True))))


def _sliced(call: Call, ty: Any, ranges: dict[int, tuple[int, int, int]]) -> Plan:
    rank = len(call.args[0].ty.shape)
    slices = [slice(None)] * rank
    for axis, (begin, end, step) in ranges.items():
        slices[axis % rank] = slice(begin, end, step)
    return call.args[:1], lambda v: v[0][tuple(slices)]


@_moves("relax.split")
def _split(call: Call, ty: Any, constant: Constant) -> Plan:
    cuts, axis = call.attrs.indices_or_sections, int(call.attrs.axis)
    sections: Any = int(cuts) if isinstance(cuts, int | IntImm) else _ints(cuts)
    if isinstance(sections, int):  # Relax rounds up, the last part is shorter
        size = int(call.args[0].ty.shape[axis])
        sections = list(range(-(-size // sections), size, -(-size // sections)))
    return call.args[:1], lambda v: np.split(v[0], sections, axis)


@_moves("relax.concat")
def _concat(call: Call, ty: Any, constant: Constant) -> Plan:
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis)
    return call.args[0].fields, lambda v: np.concatenate(v, axis)


@_moves("relax.stack")
def _stack(call: Call, ty: Any, constant: Constant) -> Plan:
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis)
    return call.args[0].fields, lambda v: np.stack(v, axis)


@_moves("relax.nn.max_pool2d", "relax.nn.avg_pool2d")
def _pool_of_one(call: Call, ty: Any, constant: Constant) -> Plan:
    attributes = call.attrs
    if any(p != 1 for p in _ints(attributes.pool_size)) or any(_ints(attributes.padding)):
        raise NotMovement("pools")
    if str(attributes.layout) != "NCHW":
        raise NotMovement(f"pools in layout {attributes.layout}")
    (sy, sx), (_, _, height, width) = _ints(attributes.strides), _shape(ty)
    return call.args[:1], lambda v: v[0][:, :, ::sy, ::sx][:, :, :height, :width]


# --- by constant indices ---------------------------------------------------------------------------


@_moves("relax.take")
def _take(call: Call, ty: Any, constant: Constant) -> Plan:
    indices, axis = constant(call.args[1]), call.attrs.axis
    return call.args[:1], lambda v: np.take(v[0], indices, None if axis is None else int(axis))


@_moves("relax.gather_elements")
def _gather_elements(call: Call, ty: Any, constant: Constant) -> Plan:
    indices, axis = constant(call.args[1]), int(call.attrs.axis)
    return call.args[:1], lambda v: np.take_along_axis(v[0], indices, axis)


@_moves("relax.gather_nd")
def _gather_nd(call: Call, ty: Any, constant: Constant) -> Plan:
    if int(call.attrs.batch_dims) != 0:
        raise NotMovement("gathers with batch dimensions")
    indices = tuple(np.moveaxis(constant(call.args[1]), -1, 0))
    return call.args[:1], lambda v: v[0][indices]


@_moves("relax.scatter_nd")
def _scatter_nd(call: Call, ty: Any, constant: Constant) -> Plan:
    _update_only(str(call.attrs.reduction))
    indices = tuple(np.moveaxis(constant(call.args[1]), -1, 0))
    return (call.args[0], call.args[2]), _assignment(indices)


@_moves("relax.index_put")
def _index_put(call: Call, ty: Any, constant: Constant) -> Plan:
    _update_only("add" if call.attrs.accumulate else "update")
    return (call.args[0], call.args[2]), _assignment(tuple(constant(i) for i in call.args[1].fields))


@_moves("relax.slice_scatter")
def _slice_scatter(call: Call, ty: Any, constant: Constant) -> Plan:
    begin, end, step = _ints(call.args[2:5])
    axis = int(call.attrs.axis) % len(ty.shape)
    return call.args[:2], _assignment((slice(None),) * axis + (slice(begin, end, step),))


@_moves("relax.scatter_elements")
def _scatter_elements(call: Call, ty: Any, constant: Constant) -> Plan:
    _update_only(str(call.attrs.reduction))
    indices, axis = constant(call.args[1]), int(call.attrs.axis)

    def apply(values: Sequence[Array]) -> Array:
        out = np.array(values[0])
        np.put_along_axis(out, indices, values[1], axis)
        return out

    return (call.args[0], call.args[2]), apply


def _update_only(reduction: str) -> None:
    if reduction not in ("update", "none"):
        raise NotMovement(f"scatters with {reduction}")


def _assignment(indices: tuple[Any, ...]) -> Apply:
    def apply(values: Sequence[Array]) -> Array:
        out = np.array(values[0])
        out[indices] = values[1]
        return out

    return apply


# --- convolutions with one-hot filters, index maps --------------------------------------------------


@_moves("relax.nn.conv2d")
def _one_hot_conv2d(call: Call, ty: Any, constant: Constant) -> Plan:
    """A convolution all of whose filters have one 1 at most and zeros: the usual export of shift."""
    attributes = call.attrs
    try:
        weight = constant(call.args[1])
    except NotMovement:
        raise NotMovement("relax.nn.conv2d computes") from None
    if (str(attributes.data_layout), str(attributes.kernel_layout)) != ("NCHW", "OIHW"):
        raise NotMovement("relax.nn.conv2d computes, in another layout than NCHW")
    taps = weight.reshape(weight.shape[0], -1)
    counts = np.count_nonzero(taps, axis=1)
    if counts.max() != 1 or not ((taps == 0) | (taps == 1)).all():
        raise NotMovement("relax.nn.conv2d computes")
    inner, rows, columns = np.unravel_index(taps.argmax(axis=1), weight.shape[1:])
    group = np.arange(weight.shape[0]) // (weight.shape[0] // int(attributes.groups))
    source = np.where(counts == 1, group * weight.shape[1] + inner, -1)
    (sy, sx), (dy, dx) = _ints(attributes.strides), _ints(attributes.dilation)
    top, left, bottom, right = _ints(attributes.padding)
    shape = _shape(ty)

    def apply(values: Sequence[Array]) -> Array:
        padded = np.pad(values[0], ((0, 0), (0, 0), (top, bottom), (left, right)))
        out = np.zeros(shape, values[0].dtype)
        for row, column in set(zip(rows.tolist(), columns.tolist(), strict=True)):
            targets = np.flatnonzero((rows == row) & (columns == column) & (source >= 0))
            window = padded[:, :, row * dy :: sy, column * dx :: sx][:, :, : shape[2], : shape[3]]
            out[:, targets] = window[:, source[targets]]
        return out

    return call.args[:1], apply


@_moves("index_map")
def _index_map(call: Call, ty: Any, constant: Constant) -> Plan:
    index_map, shape = index_map_of(call), _shape(ty)
    return call.args[1:-1], lambda v: index_map.apply(v).reshape(shape)


# --- integer arithmetic on indices -------------------------------------------------------------------

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "relax.add": np.add, "relax.subtract": np.subtract, "relax.multiply": np.multiply,
    "relax.floor_divide": np.floor_divide, "relax.mod": np.mod, "relax.floor_mod": np.mod,
    "relax.less": np.less, "relax.less_equal": np.less_equal, "relax.greater": np.greater,
    "relax.greater_equal": np.greater_equal, "relax.equal": np.equal, "relax.not_equal": np.not_equal,
    "relax.maximum": np.maximum, "relax.minimum": np.minimum, "relax.negative": np.negative,
    "relax.where": np.where, "relax.astype": np.asarray,
}  # fmt: skip

