"""Shift written with torch.roll: cyclic, or between a pad and a crop that cut the wrap off."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import conv
from definitions.catalogue import catalogued


@catalogued(1, 16, 14, 14, shifts=1)
class Roll(nn.Module):
    """torch.roll of quarters of the channels: the border wraps around."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = conv(16, 32), conv(32, 16)

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.chunk(F.relu(self.before(x)), 4, dim=1)
        moves = ((1, 2), (-1, 2), (1, 3), (-1, 3))
        moved = [torch.roll(part, step, axis) for part, (step, axis) in zip(parts, moves, strict=True)]
        return self.after(torch.cat(moved, dim=1))


@catalogued(1, 16, 14, 14, shifts=2)
class CyclicShift(nn.Module):
    """Swin's cyclic shift: the whole tensor rolled along both axes, and back after the 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(16, 24), conv(24, 16)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv1(torch.roll(x, (-3, -3), (2, 3))))
        return self.conv2(torch.roll(y, (3, 3), (2, 3)))


def roll_chunks(chunks: tuple[Tensor, ...], axis: int, height: int, width: int) -> Tensor:
    """Roll chunk i by i - ⌊n/2⌋ along the axis, join, cut the padding of ⌊n/2⌋ off again."""
    reach = len(chunks) // 2
    rolled = [torch.roll(chunk, step - reach, axis) for step, chunk in enumerate(chunks)]
    return torch.narrow(torch.narrow(torch.cat(rolled, dim=1), 2, reach, height), 3, reach, width)


class AxialShift(nn.Module):
    """AS-MLP's block (Lian et al., 2022): pad, chunk, roll, cat, narrow, along either axis."""

    def __init__(self, channels: int, norm: type[nn.Module], shift_size: int = 5) -> None:
        super().__init__()
        self.shift_size, self.reach = shift_size, shift_size // 2
        groups = (1, channels) if norm is nn.GroupNorm else (channels,)
        self.norm1, self.norm2 = norm(*groups), norm(*groups)
        self.conv1, self.conv2_1 = conv(channels, channels), conv(channels, channels)
        self.conv2_2, self.conv3 = conv(channels, channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2], x.shape[3]
        y = F.gelu(self.norm1(self.conv1(x)))
        chunks = torch.chunk(F.pad(y, (self.reach,) * 4, "constant", 0), self.shift_size, dim=1)
        horizontal = F.gelu(self.conv2_1(roll_chunks(chunks, 3, height, width)))
        vertical = F.gelu(self.conv2_2(roll_chunks(chunks, 2, height, width)))
        return x + self.conv3(self.norm2(horizontal + vertical))


@catalogued(1, 28, 14, 14, shifts=2)
class AsMlpGroupNorm(AxialShift):
    """AS-MLP as published, GroupNorm(1, C); rolls whose wrap the narrow cuts off; chunks of 6,6,6,6,4."""

    def __init__(self) -> None:
        super().__init__(28, nn.GroupNorm)


@catalogued(1, 30, 14, 14, shifts=2)
class AsMlpBatchNorm(AxialShift):
    """AS-MLP with BatchNorm, which folds into the 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__(30, nn.BatchNorm2d)


@catalogued(1, 196, 20, shifts=2)
class Unext(nn.Module):
    """UNeXt's shifted MLP (Valanarasu & Patel, 2022) on tokens [N, H·W, C] of a 14x14 plane.

    Shift along one axis, Linear, depthwise 3x3, GELU, shift along the other, Linear, shortcut.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(20), nn.Linear(20, 30), nn.Linear(30, 20)
        self.depthwise = conv(30, 30, 3, groups=30)

    @staticmethod
    def shift(tokens: Tensor, axis: int) -> Tensor:
        batch, _, channels = tokens.shape
        plane = F.pad(tokens.transpose(1, 2).view(batch, channels, 14, 14), (2, 2, 2, 2), "constant", 0)
        moved = roll_chunks(torch.chunk(plane, 5, dim=1), axis, 14, 14)
        return moved.reshape(batch, channels, 196).contiguous().transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc1(self.shift(self.norm(x), 2))
        batch, _, channels = y.shape
        plane = self.depthwise(y.transpose(1, 2).view(batch, channels, 14, 14))
        y = F.gelu(plane.flatten(2).transpose(1, 2))
        return x + self.fc2(self.shift(y, 3))
