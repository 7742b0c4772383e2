"""Small networks that shift by other means than one-hot kernels, as their exporters write them.

They follow the blocks of the papers named below at one resolution, 56×56 after a 4×4 patch
embedding, with BatchNormalization in place of the papers' layer or group normalization.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shiftc.zoo.blocks import RESIDUAL_GAIN, classifier, conv_bn
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import Tensor

CLASSES = 1000
PATCH = 4
ROWS, COLUMNS = 2, 3
"""Axes of [batch, channels, rows, columns]."""

Block = Callable[[GraphBuilder, Tensor], Tensor]


def shift_mlp(graph: GraphBuilder, *, channels: int, blocks: int, block: Block) -> Tensor:
    """[batch, 3, 224, 224] → patch embedding → blocks → logits [batch, 1000]."""
    x = graph.batch_norm(graph.conv(graph.input, channels, PATCH, stride=PATCH, padding=0))
    for _ in range(blocks):
        x = block(graph, x)
    return classifier(graph, graph.batch_norm(x), CLASSES)


def asmlp_block(graph: GraphBuilder, x: Tensor, *, shift_size: int = 5, mlp_ratio: int = 4) -> Tensor:
    """Lian et al., "AS-MLP: An Axial Shifted MLP Architecture for Vision", ICLR 2022, Figure 2."""
    y = graph.gelu(conv_bn(graph, graph.batch_norm(x), x.channels))
    vertical = graph.gelu(graph.conv(axial_shift(graph, y, ROWS, shift_size), x.channels))
    horizontal = graph.gelu(graph.conv(axial_shift(graph, y, COLUMNS, shift_size), x.channels))
    y = graph.batch_norm(graph.add(vertical, horizontal))
    x = graph.add(x, conv_bn(graph, y, x.channels, gain=RESIDUAL_GAIN))
    return mlp_residual(graph, x, mlp_ratio)


def shiftvit_block(graph: GraphBuilder, x: Tensor, *, divisions: int = 12, mlp_ratio: int = 2) -> Tensor:
    """Wang et al., "When Shift Operation Meets Vision Transformer", AAAI 2022, Algorithm 1."""
    return mlp_residual(graph, partial_shift(graph, x, divisions), mlp_ratio)


def roll_block(graph: GraphBuilder, x: Tensor) -> Tensor:
    """1×1 → BN → ReLU → a quarter of the channels rolled in each direction → 1×1 → BN, residual."""
    y = graph.relu(conv_bn(graph, x, x.channels))
    quarters = graph.split(y, [x.channels // 4] * 4)
    directions = ((ROWS, 1), (ROWS, -1), (COLUMNS, 1), (COLUMNS, -1))
    rolled = [roll(graph, q, axis, by) for q, (axis, by) in zip(quarters, directions, strict=True)]
    y = conv_bn(graph, graph.concat(rolled), x.channels, gain=RESIDUAL_GAIN)
    return graph.relu(graph.add(x, y))


def mlp_residual(graph: GraphBuilder, x: Tensor, ratio: int) -> Tensor:
    """x + 1×1 → GELU → 1×1 of the normalized x."""
    y = graph.gelu(graph.conv(graph.batch_norm(x), x.channels * ratio))
    return graph.add(x, conv_bn(graph, y, x.channels, gain=RESIDUAL_GAIN))


def axial_shift(graph: GraphBuilder, x: Tensor, axis: int, shift_size: int) -> Tensor:
    """Channel group g of `shift_size` moves by g − ⌊shift_size / 2⌋ along `axis`, zeros moving in.

    As exported: Pad, Split, a roll of each part, Concat, and a Slice for each axis that cuts the
    padding (and with it whatever the rolls wrapped around) off again.
    """
    pad = shift_size // 2
    parts = graph.split(graph.pad_border(x, pad, pad), even_sizes(x.channels, shift_size))
    rolled = [roll(graph, part, axis, by) for by, part in enumerate(parts, start=-pad)]
    y = graph.concat(rolled)
    y = graph.slice(y, ROWS, pad, pad + x.shape[ROWS])
    return graph.slice(y, COLUMNS, pad, pad + x.shape[COLUMNS])


def roll(graph: GraphBuilder, x: Tensor, axis: int, by: int) -> Tensor:
    """`torch.roll(x, by, axis)` as exported: the two pieces, swapped."""
    extent = x.shape[axis]
    cut = -by % extent
    if cut == 0:
        return x
    return graph.concat([graph.slice(x, axis, cut, extent), graph.slice(x, axis, 0, cut)], axis)


def partial_shift(graph: GraphBuilder, x: Tensor, divisions: int) -> Tensor:
    """One of `divisions` channel groups moves one pixel in each direction, the others stay.

    As exported: assignments to slices of zeros, a chain of ScatterND.
    """
    batch, channels, rows, columns = x.shape
    group = channels // divisions
    y = graph.zeros(x.shape)
    for index, (axis, by) in enumerate(((COLUMNS, -1), (COLUMNS, 1), (ROWS, -1), (ROWS, 1))):
        extent = x.shape[axis]
        moved = graph.slice(x, 1, index * group, (index + 1) * group)
        moved = graph.slice(moved, axis, max(-by, 0), extent - max(by, 0))
        region = [range(batch), range(index * group, (index + 1) * group), range(rows), range(columns)]
        region[axis] = range(max(by, 0), extent - max(-by, 0))
        y = graph.assign(y, region, moved)
    rest = graph.slice(x, 1, 4 * group, channels)
    return graph.assign(y, [range(batch), range(4 * group, channels)], rest)


def even_sizes(channels: int, parts: int) -> Sequence[int]:
    """Sizes of `torch.chunk`: ⌈channels / parts⌉ each, the last one what is left."""
    size = -(-channels // parts)
    return [min(size, channels - start) for start in range(0, channels, size)]
