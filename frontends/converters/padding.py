"""Pad as Relax's operator: TVM's importer makes an opaque kernel of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from frontends.converters.node import Converter, Expr, Node, constant_value, static_shape

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _pad(node: Node) -> Expr:
    mode = node.attribute("mode")
    rank = len(static_shape(node.inputs[0]))
    before, after = np.split(constant_value(node.inputs[1], "padding"), 2)
    axes = node.optional(3)
    padded = range(rank) if axes is None else constant_value(axes, "list of axes").tolist()
    widths = np.zeros((rank, 2), np.int64)
    widths[list(padded)] = np.stack([before, after], axis=1)
    value = node.optional(2)
    fill = 0.0 if value is None else float(constant_value(value, "padding value").reshape(()))
    if (widths < 0).any():
        return _crop_and_pad(node.inputs[0], widths, mode, fill)
    return relax.op.nn.pad(node.inputs[0], widths.ravel().tolist(), _MODES[mode], fill)


def _crop_and_pad(data: Expr, widths: NDArray[np.int64], mode: str, fill: float) -> Any:
    """Negative widths remove rows, which ONNX does before it pads."""
    axes = list(range(len(widths)))
    shape = np.array(static_shape(data))
    begin, end = np.maximum(-widths[:, 0], 0), shape - np.maximum(-widths[:, 1], 0)
    cropped = relax.op.strided_slice(data, axes, begin.tolist(), end.tolist())
    return relax.op.nn.pad(cropped, np.maximum(widths, 0).ravel().tolist(), _MODES[mode], fill)


CONVERTERS: Mapping[str, Converter] = {"Pad": _pad}
