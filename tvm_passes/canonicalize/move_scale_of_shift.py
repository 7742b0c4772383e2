"""conv(s * shift(x) + b, W) → conv(shift(x), W s) + Σ W b, where `s * shift` is a depthwise convolution.

Exporters fuse the BatchNorm that follows a shift into its taps: a depthwise convolution with one tap per
filter, of value s[c], and a bias b. With s and b in the weights of the convolutions that read it, the
shift is one again, and recognised. A bias asks for readers without padding: padding is zero, not b.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.ir import Call

from ..epilogue import channel_vector
from ..graph import Graph, Node
from ..relax_values import constant_of, shape_of

Vector = npt.NDArray[Any]


@attrs.frozen
class _ScaledShift:
    """A depthwise convolution with single taps, what adds a bias to it, and the convolutions behind."""

    shift: Node
    taps: Vector
    add: Node | None
    bias: Vector
    readers: tuple[Node, ...]

    @property
    def scale(self) -> Vector:
        scale: Vector = self.taps.reshape(len(self.taps), -1).sum(axis=1)
        return scale


def move_scale_of_shift(graph: Graph) -> None:
    """Move scale and bias of every scaled shift that only convolutions read into their weights."""
    for node in list(graph.nodes):
        found = _scaled_shift(graph, node)
        if found is None:
            continue
        one_hot = relax.const((found.taps != 0).astype(found.taps.dtype))
        node.call = _with_weight(node, node.call.args[0], one_hot)
        for conv in found.readers:
            _scale_reader(graph, conv, found)


def _scaled_shift(graph: Graph, node: Node) -> _ScaledShift | None:
    taps = _single_taps(node)
    if taps is None or node.var in graph.outputs:
        return None
    readers, add = graph.consumers(node.var), None
    bias: Vector = np.zeros(len(taps), taps.dtype)
    if len(readers) == 1 and readers[0].op == "relax.add" and readers[0].var not in graph.outputs:
        add = readers[0]
        constants = [c for c in map(constant_of, add.args) if c is not None]
        vector = channel_vector(constants[0], shape_of(add.var)) if constants else None
        if vector is None or shape_of(add.var) != shape_of(node.var):
            return None
        bias, readers = vector, graph.consumers(add.var)
    if not readers or not all(_can_take(conv, node if add is None else add, bias) for conv in readers):
        return None
    return _ScaledShift(node, taps, add, bias, tuple(readers))


def _single_taps(node: Node) -> Vector | None:
    """The weight of a depthwise convolution whose filters have one tap each, not all of them 1."""
    if not _is_plain_conv(node) or int(node.call.attrs.groups) == 1:
        return None
    weight = constant_of(node.args[1])
    if weight is None or weight.shape[1] != 1:
        return None
    single = (np.count_nonzero(weight.reshape(len(weight), -1), axis=1) == 1).all()
    return weight if single and not (weight[weight != 0] == 1).all() else None


def _is_plain_conv(node: Node) -> bool:
    if node.op != "relax.nn.conv2d":
        return False
    attributes = node.call.attrs
    return (str(attributes.data_layout), str(attributes.kernel_layout)) == ("NCHW", "OIHW")


def _can_take(conv: Node, data: Node, bias: Vector) -> bool:
    if not _is_plain_conv(conv) or conv.args[0] != data.var or constant_of(conv.args[1]) is None:
        return False
    return not bias.any() or not any(int(p) for p in conv.call.attrs.padding)


def _scale_reader(graph: Graph, conv: Node, found: _ScaledShift) -> None:
    weight = np.asarray(conv.args[1].value.numpy())
    outputs, inputs = weight.shape[:2]
    group = np.arange(outputs) // (outputs // int(conv.call.attrs.groups))
    channel = group[:, None] * inputs + np.arange(inputs)
    scaled = (weight * found.scale[channel][:, :, None, None]).astype(weight.dtype)
    call = _with_weight(conv, found.shift.var, relax.const(scaled))
    if found.bias.any():
        bias = (weight.sum(axis=(2, 3)) * found.bias[channel]).sum(axis=1).astype(weight.dtype)
        convolved = graph.insert_before(conv, call, f"{conv.name}_without_bias")
        call = relax.op.add(convolved.var, relax.const(bias.reshape(1, -1, 1, 1)))
    conv.call = call


def _with_weight(conv: Node, data: object, weight: object) -> Call:
    return Call(conv.call.op, [data, weight], conv.call.attrs, conv.call.ty_args)
