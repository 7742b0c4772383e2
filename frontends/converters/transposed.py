"""Transposed convolutions: how large the result is, in terms of padding alone.

    y[o] = sum of x[i] * w[k]  over all i, k with  i * stride + k * dilation - before = o

What an output shape, automatic padding and padding of the output ask for is how much is cut off `before` and
after, where less than nothing may be: then the result goes on, with what few taps reach or with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from tvm import relax

from frontends.converters.node import Converter, Expr, Node, static_shape
from frontends.converters.windows import add_bias

_OPERATORS = {2: relax.op.nn.conv2d_transpose, 3: relax.op.nn.conv3d_transpose}


def _conv_transpose(node: Node) -> Expr:
    data, weight = node.inputs[0], node.inputs[1]
    sizes, kernel = static_shape(data)[2:], static_shape(weight)[2:]
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"a window over {len(sizes)} axes is not supported")
    axes = _axes(node, sizes, kernel)
    if len(sizes) == 1:  # of planes with one row
        data, weight = relax.op.expand_dims(data, 2), relax.op.expand_dims(weight, 2)
        axes = [_Axis(stride=1, dilation=1, before=0, after=0), *axes]
    result = _OPERATORS[len(axes)](
        node.builder.normalize(data),
        node.builder.normalize(weight),
        strides=[axis.stride for axis in axes],
        padding=[*(axis.before for axis in axes), *(axis.after for axis in axes)],
        dilation=[axis.dilation for axis in axes],
        groups=int(node.attribute("group")),
    )
    if len(sizes) == 1:
        result = relax.op.squeeze(node.builder.normalize(result), [2])
    return add_bias(node.builder.normalize(result), node.optional(2), len(sizes))


@attrs.frozen
class _Axis:
    """before, after: how much of the result of all taps is cut off."""

    stride: int
    dilation: int
    before: int
    after: int


def _axes(node: Node, sizes: Sequence[int], kernel: Sequence[int]) -> list[_Axis]:
    stated = node.attribute("kernel_shape")
    if stated is not None and list(stated) != list(kernel):
        raise ValueError(f"its kernel_shape {list(stated)} is not its weight's, {list(kernel)}")
    rank = len(sizes)
    strides = node.attribute("strides", [1] * rank)
    dilations = node.attribute("dilations", [1] * rank)
    extra = node.attribute("output_padding", [0] * rank)
    pads = node.attribute("pads", [0] * (2 * rank))
    wanted = node.attribute("output_shape")
    mode = node.attribute("auto_pad")
    result = []
    for axis in range(rank):
        stride, dilation = int(strides[axis]), int(dilations[axis])
        reached = (sizes[axis] - 1) * stride + (kernel[axis] - 1) * dilation + 1
        before, after = int(pads[axis]), int(pads[axis + rank]) - int(extra[axis])
        if wanted is not None or mode in ("SAME_UPPER", "SAME_LOWER"):
            # The last of the numbers: models of old give batch and channels, too.
            size = sizes[axis] * stride if wanted is None else int(wanted[axis - rank])
            cut = max(0, reached + int(extra[axis]) - size)
            before = cut // 2 if mode == "SAME_UPPER" else cut - cut // 2
            after = reached - before - size
        elif mode == "VALID":
            before, after = 0, -int(extra[axis])
        result.append(_Axis(stride, dilation, before, after))
    return result


CONVERTERS: Mapping[str, Converter] = {"ConvTranspose": _conv_transpose}
