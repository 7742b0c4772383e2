"""Building blocks the models share: offset tables, the forms a shift is written in, convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Offsets = Sequence[tuple[int, int]]
"""Per channel (dy, dx): `y[n, c, h, w] = x[n, c, h + dy, w + dx]`, zero outside the plane."""

Activation = Callable[[], nn.Module]


def grouped_offsets(channels: int, kernel_size: int = 3, dilation: int = 1) -> Offsets:
    """The paper's layout: k² contiguous groups, row-major, channels left over stay where they are."""
    size = channels // kernel_size**2
    return _offsets_of_taps(
        [c // size for c in range(size * kernel_size**2)], channels, kernel_size, dilation
    )


def modulo_offsets(channels: int, kernel_size: int = 3, dilation: int = 1) -> Offsets:
    """The layout of the published CUDA kernel: displacements alternate from channel to channel."""
    taps = kernel_size**2
    return _offsets_of_taps(
        [c % taps for c in range(channels // taps * taps)], channels, kernel_size, dilation
    )


def _offsets_of_taps(taps: Sequence[int], channels: int, kernel_size: int, dilation: int) -> Offsets:
    half = kernel_size // 2
    moved = [(dilation * (tap // kernel_size - half), dilation * (tap % kernel_size - half)) for tap in taps]
    return moved + [(0, 0)] * (channels - len(moved))


class OneHotShift(nn.Conv2d):
    """Shift as a depthwise convolution whose kernels hold a single one (frozen)."""

    def __init__(self, offsets: Offsets, kernel_size: int = 3, dilation: int = 1, stride: int = 1) -> None:
        channels = len(offsets)
        super().__init__(
            channels,
            channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=channels,
            bias=False,
        )
        weight = torch.zeros_like(self.weight)
        for channel, (dy, dx) in enumerate(offsets):
            weight[channel, 0, dy // dilation + kernel_size // 2, dx // dilation + kernel_size // 2] = 1
        self.weight = nn.Parameter(weight, requires_grad=False)


class PadSliceShift(nn.Module):
    """Shift as pad, one slice per group of channels with the same offset, concat."""

    def __init__(self, offsets: Offsets) -> None:
        super().__init__()
        starts = [c for c in range(len(offsets)) if c == 0 or offsets[c] != offsets[c - 1]]
        ends = [*starts[1:], len(offsets)]
        self.groups = [(start, end, *offsets[start]) for start, end in zip(starts, ends, strict=True)]
        self.reach = max(max(abs(dy), abs(dx)) for dy, dx in offsets)

    def forward(self, x: Tensor) -> Tensor:
        height, width, reach = x.shape[2], x.shape[3], self.reach
        padded = F.pad(x, (reach, reach, reach, reach))
        return torch.cat(
            [
                padded[:, start:end, reach + dy : reach + dy + height, reach + dx : reach + dx + width]
                for start, end, dy, dx in self.groups
            ],
            dim=1,
        )


def conv(
    inputs: int, outputs: int, kernel_size: int = 1, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution with bias whose padding keeps the plane (divided by the stride)."""
    padding = dilation * (kernel_size // 2)
    return nn.Conv2d(inputs, outputs, kernel_size, stride, padding, dilation, groups)


def conv_bn(
    inputs: int,
    outputs: int,
    kernel_size: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = None,
) -> nn.Sequential:
    """Convolution without bias, batch normalization and, if given, an activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Scale every channel by a gate computed from the plane's mean (Hu et al., 2018)."""

    def __init__(self, channels: int, reduction: int = 4, gate: Activation = nn.Sigmoid) -> None:
        super().__init__()
        self.reduce = conv(channels, channels // reduction)
        self.expand = conv(channels // reduction, channels)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        mean = F.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.expand(F.relu(self.reduce(mean))))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Reshape, transpose, reshape: channel g·n + i becomes channel i·groups + g."""
    batch, channels, height, width = x.shape
    x = x.view(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).reshape(batch, channels, height, width)


class Classifier(nn.Module):
    """Global average pooling and a fully connected layer."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.flatten(self.pool(x), 1))
