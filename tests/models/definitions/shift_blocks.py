"""The shift paper's modules, CSC and SC² (Wu et al., 2018), the shift as a one-hot depthwise convolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import Classifier, OneHotShift, conv, conv_bn, grouped_offsets
from definitions.catalogue import catalogued


class ConvShiftConv(nn.Module):
    """1x1 (expand) -> BN -> ReLU -> shift -> 1x1 -> BN, plus shortcut, ReLU (Wu et al., 2018)."""

    def __init__(self, channels: int, outputs: int, expansion: int = 3, stride: int = 1) -> None:
        super().__init__()
        middle = channels * expansion
        self.expand = conv_bn(channels, middle, activation=nn.ReLU)
        self.shift = OneHotShift(grouped_offsets(middle))
        self.project = conv_bn(middle, outputs, stride=stride)
        self.stride, self.extra = stride, outputs - channels

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.stride > 1:
            shortcut = F.avg_pool2d(shortcut, self.stride)
        if self.extra:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.extra))
        return F.relu(self.project(self.shift(self.expand(x))) + shortcut)


@catalogued(1, 3, 16, 16, shifts=2)
class OneHotCsc(nn.Module):
    """ShiftResNet: 3x3 stem, two CSC blocks, classifier; 48 channels in 9 groups of 5 and 3 left over."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16, 3, activation=nn.ReLU)
        self.blocks = nn.Sequential(ConvShiftConv(16, 16), ConvShiftConv(16, 16))
        self.head = Classifier(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))


@catalogued(2, 3, 16, 16, shifts=2, dynamic_batch=True)
class OneHotCscDynamicBatch(OneHotCsc):
    """one_hot_csc with a symbolic batch axis."""


@catalogued(1, 16, 16, 16, shifts=2)
class CscDownsample(nn.Module):
    """CSC with stride 2 on the second 1x1; the shortcut is average-pooled and padded with zero channels."""

    def __init__(self) -> None:
        super().__init__()
        self.down = ConvShiftConv(16, 32, stride=2)
        self.block = ConvShiftConv(32, 32, expansion=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.down(x))


@catalogued(1, 24, 14, 14, shifts=2)
class ShiftConvShiftConv(nn.Module):
    """SC²: BN-ReLU-shift-1x1 twice, with identity shortcut; zero border after ReLU, so both fold."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(24), nn.BatchNorm2d(36)
        self.shift1, self.shift2 = OneHotShift(grouped_offsets(24)), OneHotShift(grouped_offsets(36))
        self.conv1, self.conv2 = conv(24, 36), conv(36, 24)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.shift1(F.relu(self.norm1(x))))
        return x + self.conv2(self.shift2(F.relu(self.norm2(y))))
