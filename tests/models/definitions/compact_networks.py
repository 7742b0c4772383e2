"""Compact networks that move data along channels: ShuffleNet, CompConv; and VarGNet's group convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import Activation, Classifier, SqueezeExcite, channel_shuffle, conv_bn
from definitions.catalogue import catalogued


class ShuffleUnit(nn.Module):
    """ShuffleNetV2 (Ma et al., 2018), stride 1: split, branch, concat, shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_bn(half, half, activation=nn.ReLU),
            conv_bn(half, half, 3, groups=half),
            conv_bn(half, half, activation=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((kept, self.branch(worked)), dim=1), 2)


class ShuffleDownUnit(nn.Module):
    """ShuffleNetV2, stride 2: two branches, concat, shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(
            conv_bn(inputs, inputs, 3, 2, groups=inputs), conv_bn(inputs, half, activation=nn.ReLU)
        )
        self.right = nn.Sequential(
            conv_bn(inputs, half, activation=nn.ReLU),
            conv_bn(half, half, 3, 2, groups=half),
            conv_bn(half, half, activation=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        return channel_shuffle(torch.cat((self.left(x), self.right(x)), dim=1), 2)


@catalogued(1, 3, 32, 32)
class ShufflenetV2(nn.Module):
    """Stem with max pooling, a stride-2 unit and two stride-1 units; 46 channels (23 a branch)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 12, 3, 2, activation=nn.ReLU)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.units = nn.Sequential(ShuffleDownUnit(12, 46), ShuffleUnit(46), ShuffleUnit(46))
        self.last = conv_bn(46, 32, activation=nn.ReLU)
        self.head = Classifier(32)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.units(self.pool(self.stem(x)))))


@catalogued(2, 3, 32, 32, dynamic_batch=True)
class ShufflenetV2DynamicBatch(ShufflenetV2):
    """shufflenet_v2 with a symbolic batch axis: reshapes read their sizes from Shape."""


@catalogued(1, 24, 14, 14)
class ChannelShuffle3(nn.Module):
    """ShuffleNet V1's unit: grouped 1x1, channel shuffle with 3 groups, depthwise, grouped 1x1, Add."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = conv_bn(24, 12, groups=3, activation=nn.ReLU)
        self.depthwise = conv_bn(12, 12, 3, groups=12)
        self.expand = conv_bn(12, 24, groups=3)

    def forward(self, x: Tensor) -> Tensor:
        y = channel_shuffle(self.squeeze(x), 3)
        return F.relu(x + self.expand(self.depthwise(y)))


class CompConv(nn.Module):
    """CompConv (Zhang et al., 2021): divide and conquer along channels, to the given depth.

    B_{d-1} is a convolution of the input to C_prim channels; B_i = A_{i+1} ++ W·B_{i+1}, where A_{i+1}
    is copied from the input; A_0 = W·B_0. The output is all A_i and B_i, shuffled, the surplus of A_0
    trimmed.
    """

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        self.prime = -(-outputs // (2 * (2**depth - 1)))
        self.outputs, self.depth = outputs, depth
        self.first = conv_bn(inputs, self.prime, 3, activation=nn.ReLU)
        widths = [self.prime * 2**level for level in range(depth)]
        self.next = nn.ModuleList(conv_bn(w, w, 3, activation=nn.ReLU) for w in widths)

    def forward(self, x: Tensor) -> Tensor:
        low = self.first(x)
        copies, lows = [], [low]
        for level, layer in enumerate(self.next):
            worked = layer(low)
            if level == self.depth - 1:
                surplus = 2 * self.prime * (2**self.depth - 1) - self.outputs
                copies.append(worked[:, : worked.shape[1] - surplus])
            else:
                copy = x[:, : self.prime * 2**level]
                low = torch.cat((copy, worked), dim=1)
                copies.append(copy)
                lows.append(low)
        return channel_shuffle(torch.cat(copies[::-1] + lows[::-1], dim=1), 2)


@catalogued(1, 16, 14, 14)
class CompconvChain(nn.Module):
    """CompConv of depth 3, 2 and 1 one after the other; identity copies, concats, trim, shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(CompConv(16, 40, 3), CompConv(40, 32, 2), CompConv(32, 24, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class VarGUnit(nn.Module):
    """VarGNet (Zhang et al., 2019): 3x3 group convolution C -> 2C with 8 channels a group, 1x1 to outputs."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, activation: Activation | None = nn.ReLU
    ) -> None:
        super().__init__()
        self.group = conv_bn(inputs, inputs * 2, 3, stride, inputs // 8, nn.ReLU)
        self.point = conv_bn(inputs * 2, outputs, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.point(self.group(x))


@catalogued(1, 16, 14, 14)
class Vargnet(nn.Module):
    """A normal block with SE, then a down-sampling block (two stride-2 units summed, and a shortcut)."""

    def __init__(self) -> None:
        super().__init__()
        self.normal = nn.Sequential(VarGUnit(16, 16), VarGUnit(16, 16, activation=None), SqueezeExcite(16))
        self.left, self.right = VarGUnit(16, 32, 2, None), VarGUnit(16, 32, 2, None)
        self.last, self.shortcut = VarGUnit(32, 32, activation=None), VarGUnit(16, 32, 2, None)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x + self.normal(x))
        return F.relu(self.last(F.relu(self.left(x) + self.right(x))) + self.shortcut(x))
