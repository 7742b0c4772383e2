"""Col2Im: patches added up where they overlap, each pixel as the sum of what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from frontends.converters.node import (
    Converter,
    Expr,
    Node,
    constant,
    constant_scalar,
    constant_value,
    static_shape,
)


def _col2im(node: Node) -> Expr:
    """[N, C·taps, patches] → [N, C, …]."""
    data = node.inputs[0]
    image = constant_value(node.inputs[1], "image_shape").tolist()
    block = constant_value(node.inputs[2], "block_shape").tolist()
    rank = len(image)
    index = _contributions(
        image,
        block,
        node.attribute("strides", (1,) * rank),
        node.attribute("pads", (0,) * (2 * rank)),
        node.attribute("dilations", (1,) * rank),
    )
    n, rows, patches = static_shape(data)
    channels = rows // prod(block)
    emit = node.builder.emit
    flat = emit(relax.op.reshape(data, [n, channels, prod(block) * patches]))
    zero = relax.op.full([n, channels, 1], constant_scalar(0, data))
    with_zero = emit(relax.op.concat([flat, zero], axis=2))
    total: Expr = None
    for element in index:  # the first of each pixel, the second …
        part = emit(relax.op.take(with_zero, constant(element), 2, "clip"))
        total = part if total is None else emit(total + part)
    return relax.op.reshape(total, [n, channels, *image])


def _contributions(
    image: list[int],
    block: list[int],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
) -> NDArray[np.int64]:
    """[most of a pixel, pixels]: positions among taps × patches, one beyond where there are fewer."""
    rank = len(image)
    counts = [
        (image[d] + pads[d] + pads[rank + d] - dilations[d] * (block[d] - 1) - 1) // strides[d] + 1
        for d in range(rank)
    ]
    pixels: list[list[int]] = [[] for _ in range(prod(image))]
    for tap in np.ndindex(*block):
        for patch in np.ndindex(*counts):
            at = [patch[d] * strides[d] + tap[d] * dilations[d] - pads[d] for d in range(rank)]
            if all(0 <= at[d] < image[d] for d in range(rank)):
                position = np.ravel_multi_index((*tap, *patch), (*block, *counts))
                pixels[np.ravel_multi_index(at, image)].append(int(position))
    most = max(map(len, pixels))
    table = np.full((most, len(pixels)), prod(block) * prod(counts), np.int64)
    for pixel, positions in enumerate(pixels):
        table[: len(positions), pixel] = positions
    return table


CONVERTERS: Mapping[str, Converter] = {"Col2Im": _col2im}
