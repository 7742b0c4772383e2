"""ShiftResNet-20, -56 and -110 for 32×32 images.

Wu et al., "Shift: A Zero FLOP, Zero Parameter Alternative to Spatial Convolutions", CVPR 2018,
the CIFAR networks in the form of the authors' published code: each 3×3 pair of ResNet becomes a
CSC module 1×1 → BN → ReLU → shift 3×3 → 1×1 (which carries the stride) → BN, with a projection
shortcut where the shape changes; the expansion ε is the ratio of inner to output channels.
"""

from __future__ import annotations

from shiftc.zoo.blocks import RESIDUAL_GAIN, classifier, conv_bn, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.shift import shift
from shiftc.zoo.tensor import Tensor

STAGE_CHANNELS = (16, 32, 64)
CLASSES = 10


def shiftresnet(graph: GraphBuilder, *, blocks_per_stage: int, expansion: int) -> Tensor:
    """The network of depth 6 · blocks_per_stage + 2: [batch, 3, 32, 32] → [batch, 10]."""
    x = conv_bn_relu(graph, graph.input, STAGE_CHANNELS[0], 3)
    for stage, channels in enumerate(STAGE_CHANNELS):
        for block in range(blocks_per_stage):
            stride = 2 if stage > 0 and block == 0 else 1
            x = csc_block(graph, x, channels, stride=stride, expansion=expansion)
    return classifier(graph, x, CLASSES)


def csc_block(graph: GraphBuilder, x: Tensor, channels: int, *, stride: int, expansion: int) -> Tensor:
    """Conv-Shift-Conv with a residual connection."""
    y = conv_bn_relu(graph, x, channels * expansion)
    y = conv_bn(graph, shift(graph, y), channels, stride=stride, gain=RESIDUAL_GAIN)
    shortcut = x if x.shape == y.shape else conv_bn(graph, x, channels, stride=stride)
    return graph.relu(graph.add(y, shortcut))
