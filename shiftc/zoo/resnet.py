"""ResNet-50 for 224×224 images.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, Table 1. The stride of a
bottleneck is on its 3×3 convolution (ResNet "v1.5", what PyTorch's and NVIDIA's models have), which
raises the paper's 3.8 G multiply-adds to 4.1 G.
"""

from __future__ import annotations

from collections.abc import Callable

from shiftc.zoo.blocks import RESIDUAL_GAIN, classifier, conv_bn, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import Tensor

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Bottleneck channels and number of blocks of each stage."""

EXPANSION = 4
CLASSES = 1000

SpatialConv = Callable[[GraphBuilder, Tensor, int, int], Tensor]
"""(graph, x, channels, stride) → the normalized, activated output of a bottleneck's spatial convolution."""


def conv3x3(graph: GraphBuilder, x: Tensor, channels: int, stride: int) -> Tensor:
    """The plain 3×3 convolution of the paper."""
    return conv_bn_relu(graph, x, channels, 3, stride=stride)


def resnet50(graph: GraphBuilder, spatial_conv: SpatialConv = conv3x3) -> Tensor:
    """[batch, 3, 224, 224] → logits [batch, 1000]; `spatial_conv` builds the bottlenecks' 3×3."""
    x = conv_bn_relu(graph, graph.input, 64, 7, stride=2)
    x = graph.max_pool(x, 3, stride=2, padding=1)
    for stage, (channels, blocks) in enumerate(STAGES):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            x = bottleneck(graph, x, channels, stride, spatial_conv)
    return classifier(graph, x, CLASSES)


def bottleneck(
    graph: GraphBuilder, x: Tensor, channels: int, stride: int, spatial_conv: SpatialConv
) -> Tensor:
    """1×1 → 3×3 → 1×1 with an identity or projection shortcut."""
    y = conv_bn_relu(graph, x, channels)
    y = spatial_conv(graph, y, channels, stride)
    y = conv_bn(graph, y, channels * EXPANSION, gain=RESIDUAL_GAIN)
    shortcut = x if x.shape == y.shape else conv_bn(graph, x, channels * EXPANSION, stride=stride)
    return graph.relu(graph.add(y, shortcut))
