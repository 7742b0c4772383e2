"""Shift as other networks write it: pad and slice, slice assignment, bilinear sampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import Classifier, PadSliceShift, conv, conv_bn, grouped_offsets
from definitions.catalogue import catalogued


@catalogued(1, 16, 14, 14, shifts=1)
class PadSliceConcat(nn.Module):
    """Shift as pad, nine slices and a concat, between two 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = conv_bn(16, 36, activation=nn.ReLU), conv_bn(36, 16)
        self.shift = PadSliceShift(grouped_offsets(36))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.after(self.shift(self.before(x))))


@catalogued(2, 16, 14, 14, shifts=1, dynamic_batch=True)
class PadSliceConcatDynamicBatch(PadSliceConcat):
    """pad_slice_concat with a symbolic batch axis."""


def shift_features(x: Tensor, divisions: int = 12) -> Tensor:
    """Move four twelfths of the channels by one pixel left, right, up, down (Wang et al., ShiftViT, 2022)."""
    group = x.shape[1] // divisions
    out = torch.zeros_like(x)
    out[:, :group, :, :-1] = x[:, :group, :, 1:]
    out[:, group : group * 2, :, 1:] = x[:, group : group * 2, :, :-1]
    out[:, group * 2 : group * 3, :-1, :] = x[:, group * 2 : group * 3, 1:, :]
    out[:, group * 3 : group * 4, 1:, :] = x[:, group * 3 : group * 4, :-1, :]
    out[:, group * 4 :, :, :] = x[:, group * 4 :, :, :]
    return out


class ShiftVitBlock(nn.Module):
    """x = shift(x); x + MLP(norm(x))."""

    def __init__(self, channels: int, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.expand, self.project = conv(channels, channels * 2), conv(channels * 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = shift_features(x)
        return x + self.project(F.gelu(self.expand(self.norm(x))))


@catalogued(1, 3, 32, 32, shifts=2)
class ShiftvitBatchNorm(nn.Module):
    """ShiftViT, patch embedding and two blocks with BatchNorm; each shift feeds a 1x1 and an Add."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 24, 4, stride=4)
        self.blocks = nn.Sequential(*(ShiftVitBlock(24, self.norm()) for _ in range(2)))
        self.head = Classifier(24)

    def norm(self) -> nn.Module:
        return nn.BatchNorm2d(24)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(x)))


@catalogued(2, 3, 32, 32, shifts=2, dynamic_batch=True)
class ShiftvitDynamicBatch(ShiftvitBatchNorm):
    """shiftvit_batch_norm with a symbolic batch axis: scatter indices are computed from shapes."""


@catalogued(1, 3, 32, 32, shifts=2, folded="normalization")
class ShiftvitGroupNorm(ShiftvitBatchNorm):
    """ShiftViT as published: GroupNorm stands between the shift and the 1x1, only the Add can take it."""

    def norm(self) -> nn.Module:
        return nn.GroupNorm(1, 24)


@catalogued(8, 16, 7, 7, shifts=1)
class TemporalShift(nn.Module):
    """TSM (Lin et al., 2019): an eighth of the channels a frame back, one ahead; [N·T, C, H, W], T = 4."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 4
        self.conv1, self.conv2 = conv_bn(16, 24, activation=nn.ReLU), conv_bn(24, 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        clips = x.view(-1, self.frames, channels, height, width)
        fold = channels // 8
        out = torch.zeros_like(clips)
        out[:, :-1, :fold] = clips[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
        moved = out.view(x.shape)
        return F.relu(x + self.conv2(self.conv1(moved)))


@catalogued(1, 14, 14, 24, shifts=1)
class S2MlpNhwc(nn.Module):
    """S²-MLP (Yu et al., 2021), channels last with Linear; slices assigned onto the tensor itself."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(24), nn.Linear(24, 32), nn.Linear(32, 24)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.fc1(self.norm(x)))
        quarter = y.shape[3] // 4
        y[:, 1:, :, :quarter] = y[:, :-1, :, :quarter].clone()
        y[:, :-1, :, quarter : 2 * quarter] = y[:, 1:, :, quarter : 2 * quarter].clone()
        y[:, :, 1:, 2 * quarter : 3 * quarter] = y[:, :, :-1, 2 * quarter : 3 * quarter].clone()
        y[:, :, :-1, 3 * quarter :] = y[:, :, 1:, 3 * quarter :].clone()
        return x + self.fc2(y)


@catalogued(1, 24, 14, 14, shifts=1)
class S2MlpNchw(nn.Module):
    """S²-MLP, channels first with 1x1 convolutions; the edge row or column keeps its old values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(24, 32), conv(32, 24)

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.conv1(x))
        quarter = y.shape[1] // 4
        y[:, :quarter, 1:] = y[:, :quarter, :-1].clone()
        y[:, quarter : 2 * quarter, :-1] = y[:, quarter : 2 * quarter, 1:].clone()
        y[:, 2 * quarter : 3 * quarter, :, 1:] = y[:, 2 * quarter : 3 * quarter, :, :-1].clone()
        y[:, 3 * quarter :, :, :-1] = y[:, 3 * quarter :, :, 1:].clone()
        return x + self.conv2(y)


@catalogued(1, 16, 14, 14, shifts=1)
class Addressnet(nn.Module):
    """AddressNet (He et al., 2019): grouped 1x1, channel shift (a rotation), address shift, grouped 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv_bn(16, 32, groups=4, activation=nn.ReLU), conv_bn(32, 16, groups=4)
        directions = [(1, 0), (-1, 0), (0, 1), (0, -1)]
        self.address_shift = PadSliceShift([directions[c // 8] for c in range(32)])

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        y = torch.cat((y[:, 4:], y[:, :4]), dim=1)
        return F.relu(x + self.conv2(self.address_shift(y)))


@catalogued(1, 16, 14, 14, shifts=1, folded="real-valued")
class ActiveShift(nn.Module):
    """Active shift (Jeon & Kim, 2018): learned real-valued offsets, sampled bilinearly; not an index map."""

    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = conv(16, 24), conv(24, 16)
        steps = torch.arange(24, dtype=torch.float64)
        offsets = torch.stack((torch.sin(steps), torch.cos(1.7 * steps)), dim=1)
        rows, columns = torch.meshgrid(torch.arange(14), torch.arange(14), indexing="ij")
        positions = torch.stack((columns, rows), dim=-1) + offsets[:, None, None, :]
        grid = (positions * 2 / 13 - 1).float()
        self.grid = nn.Parameter(grid, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.before(x))
        batch, channels, height, width = y.shape
        planes = y.view(batch * channels, 1, height, width)
        moved = F.grid_sample(planes, self.grid, padding_mode="zeros", align_corners=True)
        return self.after(moved.view(batch, channels, height, width))
