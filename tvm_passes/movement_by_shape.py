"""Movement known from shapes and attributes: reshapes, transposes, padding, slices, concatenation."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm.ir import Call
from tvm.tirx import IntImm

from .movement_table import Constant, Plan, ints, moves, static_shape
from .movement_tir import NotMovementError

# --- one tensor, another shape -------------------------------------------------------------------


@moves("relax.reshape", "relax.flatten", "relax.squeeze", "relax.expand_dims", "relax.memory.view",
        "relax.shape_to_tensor")  # fmt: skip
def _reshape(call: Call, ty: Any, constant: Constant) -> Plan:
    shape = static_shape(ty)
    return call.args[:1], lambda v: v[0].reshape(shape)


@moves("relax.permute_dims")
def _permute_dims(call: Call, ty: Any, constant: Constant) -> Plan:
    axes = None if call.attrs.axes is None else ints(call.attrs.axes)
    return call.args[:1], lambda v: np.transpose(v[0], axes)


@moves("relax.astype")
def _astype(call: Call, ty: Any, constant: Constant) -> Plan:
    if str(call.args[0].ty.dtype) != str(ty.dtype):
        raise NotMovementError(f"converts {call.args[0].ty.dtype} to {ty.dtype}")
    return call.args[:1], lambda v: v[0]


@moves("relax.broadcast_to")
def _broadcast_to(call: Call, ty: Any, constant: Constant) -> Plan:
    shape = static_shape(ty)
    return call.args[:1], lambda v: np.broadcast_to(v[0], shape)


@moves("relax.zeros", "relax.zeros_like")
def _zeros(call: Call, ty: Any, constant: Constant) -> Plan:
    shape = static_shape(ty)
    return (), lambda v: np.zeros(shape, np.int8)


@moves("relax.full", "relax.full_like")
def _full(call: Call, ty: Any, constant: Constant) -> Plan:
    if constant(call.args[1]).any():
        raise NotMovementError("fills in a constant that is not zero")
    return _zeros(call, ty, constant)


@moves("relax.flip")
def _flip(call: Call, ty: Any, constant: Constant) -> Plan:
    axis = int(call.attrs.axis)
    return call.args[:1], lambda v: np.flip(v[0], axis)


@moves("relax.tile")
def _tile(call: Call, ty: Any, constant: Constant) -> Plan:
    repeats = ints(call.attrs.repeats)
    return call.args[:1], lambda v: np.tile(v[0], repeats)


@moves("relax.repeat")
def _repeat(call: Call, ty: Any, constant: Constant) -> Plan:
    repeats, axis = int(call.attrs.repeats), call.attrs.axis
    return call.args[:1], lambda v: np.repeat(v[0], repeats, None if axis is None else int(axis))


@moves("relax.nn.pad")
def _pad(call: Call, ty: Any, constant: Constant) -> Plan:
    width = ints(call.attrs.pad_width)
    pairs = list(zip(width[0::2], width[1::2], strict=True))
    mode = str(call.attrs.pad_mode)
    if mode == "constant" and float(call.attrs.pad_value) != 0:
        raise NotMovementError(f"fills in the constant {float(call.attrs.pad_value):g}")
    # TVM documents `edge` but runs it as constant: refused
    modes = {"constant": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}
    if mode not in modes or min(width) < 0:
        raise NotMovementError(f"pads by {width} in mode {mode}")
    return call.args[:1], lambda v: np.pad(v[0], pairs, mode=modes[mode])  # type: ignore[call-overload]


# --- parts of a tensor, and tensors made of parts -------------------------------------------------


@moves("relax.strided_slice")
def _strided_slice(call: Call, ty: Any, constant: Constant) -> Plan:
    axes, begin, end = (ints(arg) for arg in call.args[1:4])
    steps = ints(call.args[4]) if len(call.args) > 4 else [1] * len(axes)
    return _sliced(call, ty, dict(zip(axes, zip(begin, end, steps, strict=True), strict=True)))


@moves("relax.dynamic_strided_slice")
def _dynamic_strided_slice(call: Call, ty: Any, constant: Constant) -> Plan:
    begin, end, steps = (constant(arg).tolist() for arg in call.args[1:4])
    return _sliced(call, ty, dict(enumerate(zip(begin, end, steps, strict=True))))


def _sliced(call: Call, ty: Any, ranges: dict[int, tuple[int, int, int]]) -> Plan:
    rank = len(call.args[0].ty.shape)
    slices = [slice(None)] * rank
    for axis, (begin, end, step) in ranges.items():
        slices[axis % rank] = slice(begin, end, step)
    return call.args[:1], lambda v: v[0][tuple(slices)]


@moves("relax.split")
def _split(call: Call, ty: Any, constant: Constant) -> Plan:
    cuts, axis = call.attrs.indices_or_sections, int(call.attrs.axis)
    sections: Any = int(cuts) if isinstance(cuts, int | IntImm) else ints(cuts)
    if isinstance(sections, int):  # Relax rounds up, the last part is shorter
        size = int(call.args[0].ty.shape[axis])
        sections = list(range(-(-size // sections), size, -(-size // sections)))
    return call.args[:1], lambda v: np.split(v[0], sections, axis)


@moves("relax.concat")
def _concat(call: Call, ty: Any, constant: Constant) -> Plan:
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis)
    return call.args[0].fields, lambda v: np.concatenate(v, axis)


@moves("relax.stack")
def _stack(call: Call, ty: Any, constant: Constant) -> Plan:
    axis = 0 if call.attrs.axis is None else int(call.attrs.axis)
    return call.args[0].fields, lambda v: np.stack(v, axis)


@moves("relax.nn.max_pool2d", "relax.nn.avg_pool2d")
def _pool_of_one(call: Call, ty: Any, constant: Constant) -> Plan:
    attributes = call.attrs
    if any(p != 1 for p in ints(attributes.pool_size)) or any(ints(attributes.padding)):
        raise NotMovementError("pools")
    if str(attributes.layout) != "NCHW":
        raise NotMovementError(f"pools in layout {attributes.layout}")
    (sy, sx), (_, _, height, width) = ints(attributes.strides), static_shape(ty)
    return call.args[:1], lambda v: v[0][:, :, ::sy, ::sx][:, :, :height, :width]
