"""Convolutions: automatic padding becomes explicit, a bias an addition of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import GenericConst
from tvm.relax.frontend.onnx import onnx_frontend

from frontends.converters.node import Attributes, Converter, Expr, Node, constant, static_shape


def _conv(node: Node) -> Expr:
    """Convolution, then its bias as an Add of a constant [1, O, 1, …]."""
    data, weight, bias = node.inputs[0], node.inputs[1], node.optional(2)
    return add_bias(convolution(node, data, weight), bias, len(static_shape(weight)) - 2)


def convolution(node: Node, data: Expr, weight: Expr) -> Expr:
    """`data` convolved with `weight`, as the node's attributes say."""
    kernel = static_shape(weight)[2:]
    padded = _explicit_padding(static_shape(data)[2:], kernel, node.attributes)
    padded["kernel_shape"] = kernel
    convert = onnx_frontend.Conv.get_converter(11)
    return convert(node.builder, onnx_frontend.onnx_input([data, weight]), padded, None)


def add_bias(result: Expr, bias: Expr | None, axes: int) -> Expr:
    """`result` [N, O, …], with so many axes behind its channels, plus `bias` [O] if there is one."""
    if bias is None:
        return result
    broadcast = (1, -1, *(1 for _ in range(axes)))
    if isinstance(bias, GenericConst):
        return relax.op.add(result, constant(bias.value.numpy().reshape(broadcast)))
    return relax.op.add(result, relax.op.reshape(bias, broadcast))


def _explicit_padding(sizes: Sequence[int], kernel: Sequence[int], attributes: Attributes) -> dict[str, Any]:
    """`attributes` with `auto_pad` replaced by the `pads` it stands for; all of them count as read."""
    explicit = {name: attributes[name] for name in list(attributes)}
    mode = explicit.pop("auto_pad", b"NOTSET")
    if mode == b"VALID":
        explicit["pads"] = [0] * (2 * len(sizes))
    elif mode != b"NOTSET":
        size = np.array(sizes)
        stride, dilation = np.array(explicit.get("strides", 1)), np.array(explicit.get("dilations", 1))
        covered = (-(-size // stride) - 1) * stride + (np.array(kernel) - 1) * dilation + 1
        total = np.maximum(covered - size, 0)
        smaller, larger = total // 2, total - total // 2
        before, after = (smaller, larger) if mode == b"SAME_UPPER" else (larger, smaller)
        explicit["pads"] = [*before.tolist(), *after.tolist()]
    return explicit


CONVERTERS: Mapping[str, Converter] = {"Conv": _conv}
