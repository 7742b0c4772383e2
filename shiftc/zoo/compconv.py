"""CompConv, and VGG-16 (32×32 images) and ResNet-50 (224×224) with it in place of 3×3 convolutions.

Zhang, Xu, Shen, "CompConv: A Compact Convolution Module for Efficient Feature Learning", CVPR
Workshops 2021, section 3: divide and conquer along channels. Of the output only C_prim channels are
convolved from the whole input; the rest follow from these, level by level, or are copies of input
channels. C_0 = 128 ("CompConv128"), the setting the paper recommends for VGG and ResNet.
"""

from __future__ import annotations

import math

from shiftc.zoo.blocks import classifier, conv_bn_relu
from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.resnet import resnet50
from shiftc.zoo.tensor import Tensor

BASE_CHANNELS = 128
MAX_DEPTH = 3
SHUFFLE_GROUPS = 2

VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of convolutions of each stage; max-pooling by 2 ends it."""

VGG16_CLASSES = 10


def recursion_depth(input_channels: int, base_channels: int = BASE_CHANNELS) -> int:
    """Equation (6): d = min(log2(max(1, C_in / C_0)) + 1, 3)."""
    return min(int(math.log2(max(1, input_channels / base_channels))) + 1, MAX_DEPTH)


def primary_channels(channels: int, depth: int) -> int:
    """Equation (5): C_prim = ⌈C_out / (2 (2^d − 1))⌉."""
    units: int = 2 * (2**depth - 1)
    return math.ceil(channels / units)


def compconv_macs(pixels: int, kernel: int, input_channels: int, channels: int, depth: int) -> int:
    """Multiply-adds of a CompConv: H·W·k²·(C_in·C_prim + C_prim²·Σ_{i<d} 4^i)."""
    primary = primary_channels(channels, depth)
    levels: int = sum(4**i for i in range(depth))
    return pixels * kernel * kernel * (input_channels * primary + primary * primary * levels)


def compconv(graph: GraphBuilder, x: Tensor, channels: int, kernel: int = 3, *, stride: int = 1) -> Tensor:
    """The module in place of a convolution, without normalization or activation.

    Deepest level first: B_{d−1} is convolved from the input, and B_{i−1} = A_i ⊕ W_i·B_i, where A_i
    copies as many input channels as B_i has; A_0 = W_0·B_0. The output is the concatenation of all
    A_i and B_i, with surplus trailing channels of A_0 cut off, shuffled.
    """
    depth = recursion_depth(x.channels)
    primary = primary_channels(channels, depth)
    source = subsample(graph, x, stride)

    b = graph.conv(x, primary, kernel, stride=stride)
    parts = [b]
    copied = 0
    for _ in range(depth - 1):
        a = graph.slice(source, 1, copied, copied + b.channels)
        copied += b.channels
        b = graph.concat([a, graph.conv(b, b.channels, kernel)])
        parts = [a, b, *parts]
    a = graph.conv(b, b.channels, kernel)
    surplus = a.channels + sum(part.channels for part in parts) - channels
    if surplus:
        a = graph.slice(a, 1, 0, a.channels - surplus)
    return graph.channel_shuffle(graph.concat([a, *parts]), SHUFFLE_GROUPS)


def subsample(graph: GraphBuilder, x: Tensor, stride: int) -> Tensor:
    """Every `stride`-th row and column, so that copies match a strided convolution's output."""
    if stride == 1:
        return x
    rows = graph.slice(x, 2, 0, x.shape[2], stride)
    return graph.slice(rows, 3, 0, x.shape[3], stride)


def compconv_bn_relu(graph: GraphBuilder, x: Tensor, channels: int, stride: int = 1) -> Tensor:
    """CompConv 3×3 → BN → ReLU."""
    return graph.relu(graph.batch_norm(compconv(graph, x, channels, stride=stride)))


def compconv_vgg16(graph: GraphBuilder) -> Tensor:
    """[batch, 3, 32, 32] → logits [batch, 10]; the first convolution, of three channels, stays plain."""
    x = graph.input
    for channels, convolutions in VGG16_STAGES:
        for _ in range(convolutions):
            first = x is graph.input
            x = conv_bn_relu(graph, x, channels, 3) if first else compconv_bn_relu(graph, x, channels)
        x = graph.max_pool(x, 2, stride=2)
    return classifier(graph, x, VGG16_CLASSES)


def compconv_resnet50(graph: GraphBuilder) -> Tensor:
    """[batch, 3, 224, 224] → logits [batch, 1000]; CompConv in every bottleneck."""
    return resnet50(graph, spatial_conv=compconv_bn_relu)
