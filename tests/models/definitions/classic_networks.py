"""Blocks of widespread networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import Classifier, SqueezeExcite, conv, conv_bn
from definitions.catalogue import catalogued


@catalogued(1, 16, 14, 14)
class MobilenetV2(nn.Module):
    """Inverted residuals (Sandler et al., 2018): stride 1 with shortcut, stride 2 without; ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.block = self.inverted(16, 16, 1)
        self.down = self.inverted(16, 24, 2)

    @staticmethod
    def inverted(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        middle = inputs * 3
        return nn.Sequential(
            conv_bn(inputs, middle, activation=nn.ReLU6),
            conv_bn(middle, middle, 3, stride, middle, nn.ReLU6),
            conv_bn(middle, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.down(x + self.block(x))


@catalogued(1, 3, 32, 32)
class Resnet(nn.Module):
    """7x7/2 stem, max pooling, a basic block, one with stride 2 and 1x1 shortcut, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16, 7, 2, activation=nn.ReLU)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.block1 = nn.Sequential(conv_bn(16, 16, 3, activation=nn.ReLU), conv_bn(16, 16, 3))
        self.block2 = nn.Sequential(conv_bn(16, 24, 3, 2, activation=nn.ReLU), conv_bn(24, 24, 3))
        self.shortcut, self.head = conv_bn(16, 24, stride=2), Classifier(24)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.stem(x))
        x = F.relu(x + self.block1(x))
        return self.head(F.relu(self.block2(x) + self.shortcut(x)))


@catalogued(1, 16, 14, 14)
class Densenet(nn.Module):
    """Two dense layers (BN-ReLU-1x1-BN-ReLU-3x3, concat) and a transition with average pooling."""

    def __init__(self, growth: int = 12) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, 2 * growth, 1, bias=False),
                nn.BatchNorm2d(2 * growth),
                nn.ReLU(),
                nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False),
            )
            for width in (16, 16 + growth)
        )
        self.transition = nn.Sequential(
            nn.BatchNorm2d(16 + 2 * growth), nn.ReLU(), conv(16 + 2 * growth, 20), nn.AvgPool2d(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat((x, layer(x)), dim=1)
        return self.transition(x)


@catalogued(1, 16, 14, 14)
class SqueezeExciteBlock(nn.Module):
    """MobileNetV3's block: expand, depthwise 5x5, SE with hard sigmoid, hard swish, project, Add."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(16, 40, activation=nn.Hardswish),
            conv_bn(40, 40, 5, groups=40),
            SqueezeExcite(40, gate=nn.Hardsigmoid),
            nn.Hardswish(),
            conv_bn(40, 16),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@catalogued(1, 16, 14, 14)
class Convnext(nn.Module):
    """ConvNeXt block (Liu et al., 2022): depthwise 7x7, to channels last, LayerNorm, Linear, GELU, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = conv(16, 16, 7, groups=16)
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(48, 16)
        self.scale = nn.Parameter(torch.empty(16))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.fc2(F.gelu(self.fc1(y)))
        return x + y.permute(0, 3, 1, 2)
