"""Layer sequences that several networks share."""

from __future__ import annotations

from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import Tensor

RESIDUAL_GAIN = 0.5
"""Scale of the last normalization before a residual addition (trained networks have it below one)."""


def conv_bn(
    graph: GraphBuilder,
    x: Tensor,
    channels: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    gain: float = 1.0,
) -> Tensor:
    """Conv → BatchNormalization."""
    return graph.batch_norm(graph.conv(x, channels, kernel, stride=stride, groups=groups), gain=gain)


def conv_bn_relu(
    graph: GraphBuilder, x: Tensor, channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """Conv → BatchNormalization → Relu."""
    return graph.relu(conv_bn(graph, x, channels, kernel, stride=stride, groups=groups))


def classifier(graph: GraphBuilder, x: Tensor, classes: int) -> Tensor:
    """Global average pooling and a fully connected layer: logits [batch, classes]."""
    return graph.linear(graph.global_average_pool(x), classes)
