"""The shift operator: what a custom ONNX node of that name means.

`Shift` (Wu et al., "Shift: a zero FLOP, zero parameter alternative to spatial convolutions", CVPR 2018)
moves every channel's plane by an offset of its own:

    y[n, c, h, w] = x[n, c, h + dy(c), w + dx(c)],    0 where that lies outside x

ONNX has no such operator, so models carry it under a custom domain. Accepted is `shiftc::Shift`, and
whatever other (domain, operator) names the caller lists, such as the name an autograd function with a
CUDA kernel was exported under. x is [N, C, H, W]. The offsets come in one of two forms.

Explicitly, as a constant second input `offsets`, int64 [C, 2], row c = (dy(c), dx(c)).

Or by attributes, with k = kernel_size (int, odd), d = dilation (int, default 1), r = k // 2:

    layout = "grouped"   the paper's: k² contiguous groups of C // k² channels, displacements in
                         row-major order: group g moves by dy = d·(g // k - r), dx = d·(g mod k - r);
    layout = "modulo"    the public CUDA kernel's, interleaved: for c < (C // k²)·k²
                         dy = d·((c // k) mod k - r), dx = d·(c mod k - r);

channels left over stay where they are. Without a `layout`, `shiftc::Shift` is grouped; a listed foreign
operator is modulo, since the kernel such an export comes from is.

`frontends.shift_lowering` writes the node back in ordinary operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from frontends.errors import ShiftOperatorError

OperatorName = tuple[str, str]
"""(domain, operator)."""
Layout = Literal["grouped", "modulo"]
Offsets = NDArray[np.int64]
"""[C, 2]: (dy, dx) of each channel."""

DOMAIN = "shiftc"
DEFAULT_OPERATORS: tuple[OperatorName, ...] = ((DOMAIN, "Shift"),)


def parse_operator_name(text: str) -> OperatorName:
    """`"domain::Operator"` → (domain, operator). Raises ShiftOperatorError."""
    domain, separator, operator = text.strip().rpartition("::")
    if not (domain and separator and operator):
        raise ShiftOperatorError(f"'{text}' names no custom operator: write DOMAIN::OPERATOR")
    return domain, operator


def shift_offsets(channels: int, kernel_size: int, dilation: int, layout: Layout) -> Offsets:
    """The offsets of each channel, as the module's docstring defines them."""
    offsets = np.zeros((channels, 2), np.int64)
    per_group = channels // kernel_size**2
    if per_group == 0:
        return offsets
    moved = np.arange(per_group * kernel_size**2)
    displacement = moved // per_group if layout == "grouped" else moved % kernel_size**2
    offsets[moved, 0] = dilation * (displacement // kernel_size - kernel_size // 2)
    offsets[moved, 1] = dilation * (displacement % kernel_size - kernel_size // 2)
    return offsets


def node_offsets(
    node: onnx.NodeProto, channels: int, constants: Mapping[str, onnx.TensorProto], file: str = ""
) -> Offsets:
    """The offsets a shift node asks for. Raises ShiftOperatorError."""
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    try:
        if len(node.input) > 1 and node.input[1]:
            return _explicit_offsets(node.input[1], attributes, channels, constants)
        default_layout = b"grouped" if node.domain == DOMAIN else b"modulo"
        return _offsets_of_attributes({"dilation": 1, "layout": default_layout, **attributes}, channels)
    except ValueError as error:
        raise ShiftOperatorError(str(error), file=file, node=node.name) from error


def _explicit_offsets(
    name: str, attributes: Mapping[str, Any], channels: int, constants: Mapping[str, onnx.TensorProto]
) -> Offsets:
    if "kernel_size" in attributes:
        raise ValueError("it has both offsets and a kernel_size")
    if name not in constants:
        raise ValueError(f"its offsets '{name}' are not constant")
    offsets = numpy_helper.to_array(constants[name])
    if offsets.shape != (channels, 2) or offsets.dtype != np.int64:
        raise ValueError(
            f"its offsets are {offsets.dtype} {list(offsets.shape)}, not int64 [{channels}, 2] of (dy, dx)"
        )
    return np.asarray(offsets, np.int64)


def _offsets_of_attributes(attributes: Mapping[str, Any], channels: int) -> Offsets:
    kernel_size, dilation = attributes.get("kernel_size"), attributes["dilation"]
    if kernel_size is None:
        raise ValueError("it has neither a kernel_size nor a second input with offsets")
    if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"its kernel_size is {kernel_size}, not a positive odd number")
    if not isinstance(dilation, int) or dilation < 1:
        raise ValueError(f"its dilation is {dilation}, not a positive number")
    layout = attributes["layout"]
    if layout == b"grouped":
        return shift_offsets(channels, kernel_size, dilation, "grouped")
    if layout == b"modulo":
        return shift_offsets(channels, kernel_size, dilation, "modulo")
    raise ValueError(f"its layout is {layout!r}, not 'grouped' or 'modulo'")
