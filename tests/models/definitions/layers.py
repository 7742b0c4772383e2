"""Single layers and small compositions, each for one code path of the compiler."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import conv
from definitions.catalogue import catalogued


class Chain(nn.Sequential):
    """Layers in a row; subclasses only list them."""


@catalogued(1, 16, 15, 17)
class DepthwiseStrided(Chain):
    """Depthwise 3x3 and 5x5 with stride 2, odd plane."""

    def __init__(self) -> None:
        super().__init__(
            conv(16, 20, 3), nn.ReLU(), conv(20, 20, 3, 2, 20), nn.ReLU(), conv(20, 20, 5, 2, 20)
        )


@catalogued(1, 12, 15, 15)
class DilatedConv(Chain):
    """Dense 3x3 with dilation 2 and depthwise 3x3 with dilation 3."""

    def __init__(self) -> None:
        super().__init__(conv(12, 20, 3, dilation=2), nn.ReLU(), conv(20, 20, 3, groups=20, dilation=3))


@catalogued(1, 12, 14, 14)
class AsymmetricConv(Chain):
    """1x7 and 7x1, and a 3x2 kernel with stride (2, 1), uneven padding and no bias."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(12, 16, (1, 7), padding=(0, 3)),
            nn.Conv2d(16, 16, (7, 1), padding=(3, 0)),
            nn.ZeroPad2d((1, 0, 2, 1)),
            nn.Conv2d(16, 20, (3, 2), stride=(2, 1), bias=False),
        )


@catalogued(1, 24, 14, 14)
class Conv3x3(Chain):
    """Two 3x3 convolutions at stride 1, as Winograd takes them."""

    def __init__(self) -> None:
        super().__init__(conv(24, 32, 3), nn.ReLU(), conv(32, 24, 3))


@catalogued(2, 12, 14, 14)
class GemmHead(Chain):
    """Flatten of a 7x7 plane into a fully connected layer, then another, softmax; batch 2."""

    def __init__(self) -> None:
        super().__init__(
            conv(12, 10, 3, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(490, 33),
            nn.ReLU(),
            nn.Linear(33, 10),
            nn.Softmax(dim=1),
        )


@catalogued(1, 16, 14, 14)
class ConcatOfFive(nn.Module):
    """Five branches of different widths (1x1, 3x3, 5x5, pooled, identity) concatenated, then a 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.point, self.small, self.large = conv(16, 7), conv(16, 11, 3), conv(16, 5, 5)
        self.pooled, self.last = conv(16, 9), conv(48, 16)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(F.max_pool2d(x, 3, 1, 1))
        return self.last(torch.cat((self.point(x), self.small(x), self.large(x), pooled, x), dim=1))


@catalogued(1, 16, 14, 14)
class Activations(Chain):
    """Pointwise convolutions, each with another activation."""

    def __init__(self) -> None:
        activations = [
            nn.Hardswish(),
            nn.SiLU(),
            nn.GELU(),
            nn.GELU(approximate="tanh"),
            nn.PReLU(16),
            nn.PReLU(),
            nn.LeakyReLU(0.1),
            nn.Hardsigmoid(),
            nn.Sigmoid(),
            nn.Tanh(),
            nn.ReLU6(),
            nn.ELU(),
            nn.Mish(),
            nn.Softplus(),
        ]
        super().__init__(*(layer for activation in activations for layer in (conv(16, 16), activation)))


@catalogued(1, 16, 15, 15)
class Pooling(nn.Module):
    """Max and average pooling: overlapping, ceil mode, padding counted and not, global maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(16, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = F.max_pool2d(x, 2, 2, ceil_mode=True) + F.avg_pool2d(x, 3, 2, 1, count_include_pad=True)
        return F.adaptive_max_pool2d(x, 1) * x


@catalogued(1, 16, 14, 14)
class InstanceNorm(Chain):
    """Instance normalization with scale and bias, and without."""

    def __init__(self) -> None:
        super().__init__(
            conv(16, 20, 3),
            nn.InstanceNorm2d(20, affine=True),
            nn.ReLU(),
            conv(20, 16),
            nn.InstanceNorm2d(16),
        )


@catalogued(1, 24, 14, 14)
class GroupNorm(Chain):
    """Group normalization in 4 groups between convolutions."""

    def __init__(self) -> None:
        super().__init__(conv(24, 32), nn.GroupNorm(4, 32), nn.ReLU(), conv(32, 24))


@catalogued(1, 16, 14, 14)
class LayerNorm(nn.Module):
    """Layer normalization over channels written out on NCHW: mean, variance, rsqrt, scale."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = conv(16, 24), conv(24, 16)
        self.weight, self.bias = nn.Parameter(torch.empty(24)), nn.Parameter(torch.empty(24))

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        mean = y.mean(1, keepdim=True)
        variance = (y - mean).pow(2).mean(1, keepdim=True)
        y = (y - mean) / torch.sqrt(variance + 1e-6)
        return self.after(self.weight[:, None, None] * y + self.bias[:, None, None])


@catalogued(
    inputs={"image": (1, 8, 14, 14), "context": (1, 8, 7, 7), "gain": (1, 24)},
    outputs=("features", "logits", "mask"),
)
class MultipleInputsOutputs(nn.Module):
    """Three inputs of different shapes and three outputs, one of them read again inside the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.context = conv(8, 24, 3, 2), conv(8, 24)
        self.fc, self.mask = nn.Linear(24, 10), conv(24, 1)

    def forward(self, image: Tensor, context: Tensor, gain: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = F.relu(self.image(image) + self.context(context)) * gain[:, :, None, None]
        return features, self.fc(features.mean((2, 3))), torch.sigmoid(self.mask(features))
