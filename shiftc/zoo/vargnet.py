"""VarGNet v1 1.0× for 224×224 images.

Zhang et al., "VarGNet: Variable Group Convolutional Neural Network for Efficient Embedded
Computing", arXiv 1907.05653, Figure 1 (blocks). Every group of a group convolution has GROUP_CHANNELS
channels, so the number of groups varies with the width. Widths and repetitions are reconstructed:
they give the published parameters and multiply-adds (5.33 M, 590 M at eight channels per group).
"""

from __future__ import annotations

from shiftc.zoo.blocks import RESIDUAL_GAIN, classifier, conv_bn, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import Tensor

GROUP_CHANNELS = 8
STEM = 32
STAGES = ((32, 0, 1), (128, 2, 2), (256, 1, 2), (512, 1, 2))
"""Channels of a down-sampling block, how many normal blocks follow, expansion in the group convolutions."""

LAST = 1024
CLASSES = 1000


def vargnet(graph: GraphBuilder) -> Tensor:
    """[batch, 3, 224, 224] → logits [batch, 1000]."""
    x = conv_bn_relu(graph, graph.input, STEM, 3, stride=2)
    for channels, normal_blocks, expansion in STAGES:
        x = downsampling_block(graph, x, channels, expansion)
        for _ in range(normal_blocks):
            x = normal_block(graph, x, expansion)
    return classifier(graph, conv_bn_relu(graph, x, LAST), CLASSES)


def normal_block(graph: GraphBuilder, x: Tensor, expansion: int) -> Tensor:
    """Two separable units and the identity."""
    y = graph.relu(separable_unit(graph, x, x.channels, expansion))
    y = separable_unit(graph, y, x.channels, expansion, gain=RESIDUAL_GAIN)
    return graph.relu(graph.add(y, x))


def downsampling_block(graph: GraphBuilder, x: Tensor, channels: int, expansion: int) -> Tensor:
    """Two parallel strided units summed → ReLU → unit, plus a strided unit as the shortcut → ReLU."""
    shortcut = separable_unit(graph, x, channels, expansion, stride=2)
    first = separable_unit(graph, x, channels, expansion, stride=2)
    second = separable_unit(graph, x, channels, expansion, stride=2)
    y = graph.relu(graph.add(first, second))
    return graph.relu(graph.add(separable_unit(graph, y, channels, expansion), shortcut))


def separable_unit(
    graph: GraphBuilder, x: Tensor, channels: int, expansion: int, *, stride: int = 1, gain: float = 1.0
) -> Tensor:
    """Variable group convolution 3×3 (C → expansion · C) → BN → ReLU → 1×1 → BN."""
    groups = x.channels // GROUP_CHANNELS
    y = conv_bn_relu(graph, x, x.channels * expansion, 3, stride=stride, groups=groups)
    return conv_bn(graph, y, channels, gain=gain)
