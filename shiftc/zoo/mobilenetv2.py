"""MobileNetV2 1.0× for 224×224 images.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, Table 2.
"""

from __future__ import annotations

from shiftc.zoo.blocks import RESIDUAL_GAIN, classifier, conv_bn
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import Tensor

BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion t, channels c, repetitions n, stride s of each row."""

STEM = 32
LAST = 1280
CLASSES = 1000


def mobilenetv2(graph: GraphBuilder) -> Tensor:
    """[batch, 3, 224, 224] → logits [batch, 1000]."""
    x = graph.relu6(conv_bn(graph, graph.input, STEM, 3, stride=2))
    for expansion, channels, repetitions, stride in BOTTLENECKS:
        for block in range(repetitions):
            x = inverted_residual(graph, x, channels, stride=stride if block == 0 else 1, expansion=expansion)
    return classifier(graph, graph.relu6(conv_bn(graph, x, LAST)), CLASSES)


def inverted_residual(
    graph: GraphBuilder, x: Tensor, channels: int, *, stride: int, expansion: int
) -> Tensor:
    """1×1 expansion → depthwise 3×3 → linear 1×1, plus the identity where the shape is kept."""
    y = x if expansion == 1 else graph.relu6(conv_bn(graph, x, x.channels * expansion))
    y = graph.relu6(graph.batch_norm(graph.depthwise_conv(y, stride=stride)))
    residual = stride == 1 and x.channels == channels
    y = conv_bn(graph, y, channels, gain=RESIDUAL_GAIN if residual else 1.0)
    return graph.add(x, y) if residual else y
