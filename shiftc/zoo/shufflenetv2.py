"""ShuffleNet V2 at 0.5×, 1.0×, 1.5× and 2.0× for 224×224 images.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018,
Figure 3 (units) and Table 5 (architecture).
"""

from __future__ import annotations

from shiftc.zoo.blocks import classifier, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import Tensor

STEM = 24
STAGE_UNITS = (4, 8, 4)
CLASSES = 1000


def shufflenetv2(graph: GraphBuilder, *, stage_channels: tuple[int, int, int], last_channels: int) -> Tensor:
    """[batch, 3, 224, 224] → logits [batch, 1000]."""
    x = conv_bn_relu(graph, graph.input, STEM, 3, stride=2)
    x = graph.max_pool(x, 3, stride=2, padding=1)
    for channels, units in zip(stage_channels, STAGE_UNITS, strict=True):
        x = downsampling_unit(graph, x, channels)
        for _ in range(units - 1):
            x = basic_unit(graph, x)
    return classifier(graph, conv_bn_relu(graph, x, last_channels), CLASSES)


def basic_unit(graph: GraphBuilder, x: Tensor) -> Tensor:
    """Stride 1: channel split, one half through three convolutions, concat, channel shuffle."""
    half = x.channels // 2
    left, right = graph.split(x, (half, half))
    return graph.channel_shuffle(graph.concat([left, main_branch(graph, right, half, stride=1)]), 2)


def downsampling_unit(graph: GraphBuilder, x: Tensor, channels: int) -> Tensor:
    """Stride 2: both branches convolve the whole input, concat, channel shuffle."""
    half = channels // 2
    left = graph.batch_norm(graph.depthwise_conv(x, stride=2))
    left = conv_bn_relu(graph, left, half)
    return graph.channel_shuffle(graph.concat([left, main_branch(graph, x, half, stride=2)]), 2)


def main_branch(graph: GraphBuilder, x: Tensor, channels: int, *, stride: int) -> Tensor:
    """1×1 → depthwise 3×3 → 1×1."""
    y = conv_bn_relu(graph, x, channels)
    y = graph.batch_norm(graph.depthwise_conv(y, stride=stride))
    return conv_bn_relu(graph, y, channels)
