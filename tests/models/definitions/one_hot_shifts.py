"""Shift written as a one-hot depthwise convolution, in every position around other layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import (
    OneHotShift,
    PadSliceShift,
    channel_shuffle,
    conv,
    grouped_offsets,
    modulo_offsets,
)
from definitions.catalogue import catalogued


class ShiftBetween(nn.Module):
    """conv -> ReLU -> shift -> conv, the frame of the variants below."""

    def __init__(self, shift: OneHotShift, outputs: int = 16, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.before = conv(16, shift.in_channels)
        self.shift = shift
        self.after = conv(shift.in_channels, outputs, stride=stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.shift(F.relu(self.before(x))))


@catalogued(1, 16, 17, 15, shifts=1)
class DilatedShift(ShiftBetween):
    """Shift with dilation 2 (offsets -2, 0, 2) on an odd, non-square plane."""

    def __init__(self) -> None:
        super().__init__(OneHotShift(grouped_offsets(36, dilation=2), dilation=2))


@catalogued(1, 16, 16, 16, shifts=1)
class StridedShift(ShiftBetween):
    """The stride 2 is on the shift, as in the paper's CSC with stride."""

    def __init__(self) -> None:
        super().__init__(OneHotShift(grouped_offsets(36), stride=2))


@catalogued(1, 16, 15, 17, shifts=1)
class StridedPointwise(ShiftBetween):
    """The stride 2 is on the 1x1 after the shift; odd plane."""

    def __init__(self) -> None:
        super().__init__(OneHotShift(grouped_offsets(36)), outputs=24, stride=2)


@catalogued(1, 16, 14, 14, shifts=1)
class GroupedPointwise(ShiftBetween):
    """Shift followed by a 1x1 convolution in 4 groups."""

    def __init__(self) -> None:
        super().__init__(OneHotShift(grouped_offsets(32)), groups=4)


@catalogued(1, 16, 14, 14, shifts=1)
class IrregularOffsets(ShiftBetween):
    """Sparse shift layer: an arbitrary 5x5 table, most channels unmoved, no two groups alike."""

    def __init__(self) -> None:
        rows = [c * 7 % 5 - 2 if c % 3 == 0 else 0 for c in range(40)]
        columns = [c * c % 5 - 2 if c % 4 < 2 else 0 for c in range(40)]
        super().__init__(OneHotShift(list(zip(rows, columns, strict=True)), kernel_size=5))


@catalogued(1, 16, 14, 14, shifts=1)
class ModuloLayout(ShiftBetween):
    """Interleaved displacements, as the published CUDA kernel lays them out."""

    def __init__(self) -> None:
        super().__init__(OneHotShift(modulo_offsets(40)))


@catalogued(1, 13, 11, 13, shifts=2)
class OddChannels(nn.Module):
    """13 -> 29 -> 7 channels on an 11x13 plane: nothing is divisible by anything."""

    def __init__(self) -> None:
        super().__init__()
        self.shift1, self.conv1 = OneHotShift(grouped_offsets(13)), conv(13, 29)
        self.shift2, self.conv2 = OneHotShift(modulo_offsets(29)), conv(29, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.shift2(F.relu(self.conv1(self.shift1(x)))))


@catalogued(1, 16, 14, 14, outputs=("y", "z"), shifts=1)
class TwoConsumers(nn.Module):
    """One shift read by a 1x1 and by a strided 1x1: it folds into both."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.shift = conv(16, 36), OneHotShift(grouped_offsets(36))
        self.left, self.right = conv(36, 16), conv(36, 24, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moved = self.shift(F.relu(self.before(x)))
        return self.left(moved), self.right(moved)


@catalogued(1, 18, 14, 14, shifts=1)
class ShiftOfInput(nn.Module):
    """The shift reads the graph's input."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.conv = OneHotShift(grouped_offsets(18)), conv(18, 24)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(self.shift(x)))


@catalogued(1, 16, 14, 14, shifts=1)
class ShiftIsOutput(nn.Module):
    """The shift writes the graph's output: it can only fold into the output's layout copy."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.shift = conv(16, 18), OneHotShift(grouped_offsets(18))

    def forward(self, x: Tensor) -> Tensor:
        return self.shift(F.relu(self.conv(x)))


@catalogued(1, 18, 14, 14, shifts=1, folded="no-arithmetic")
class ShiftOnly(nn.Module):
    """Input, shift, output: a graph that only moves data, nothing to fold into."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = OneHotShift(grouped_offsets(18))

    def forward(self, x: Tensor) -> Tensor:
        return self.shift(x)


@catalogued(1, 16, 14, 14, shifts=1)
class ShiftReluConv(nn.Module):
    """Shift, then ReLU, then 1x1: ReLU(0) = 0, so the zero border commutes."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.shift, self.after = conv(16, 36), OneHotShift(grouped_offsets(36)), conv(36, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(F.relu(self.shift(self.before(x))))


@catalogued(1, 16, 14, 14, shifts=1)
class ShiftBnConv(nn.Module):
    """Shift -> BN -> 1x1. Exporters fuse the BN into the depthwise kernels: one tap per channel, not of
    value one, and a bias; scale and bias still fold into the 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.shift = conv(16, 36), self.make_shift()
        self.norm, self.after = nn.BatchNorm2d(36), conv(36, 16)

    def make_shift(self) -> nn.Module:
        return OneHotShift(grouped_offsets(36))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.between(self.norm(self.shift(F.relu(self.before(x))))))

    def between(self, x: Tensor) -> Tensor:
        return x


@catalogued(1, 16, 14, 14, shifts=1, folded="border-value")
class ShiftBnReluConv(ShiftBnConv):
    """Shift -> BN -> ReLU -> 1x1: the border becomes ReLU(BN(0)), not zero, so a zero halo is wrong.
    Exporters fuse the BN into the depthwise kernels."""

    def between(self, x: Tensor) -> Tensor:
        return F.relu(x)


@catalogued(1, 16, 14, 14, shifts=1, folded="border-value")
class PadSliceBnReluConv(ShiftBnReluConv):
    """shift_bn_relu_conv with pad, slices and concat: the BN stays a BatchNormalization."""

    def make_shift(self) -> nn.Module:
        return PadSliceShift(grouped_offsets(36))


@catalogued(1, 16, 14, 14, shifts=1)
class ShiftIntoResidual(nn.Module):
    """The shifted tensor is an operand of the residual Add and of nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shift = conv(16, 27), OneHotShift(grouped_offsets(27))
        self.body, self.after = conv(27, 27, 3), conv(27, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        return self.after(F.relu(self.body(x) + self.shift(x)))


@catalogued(1, 16, 14, 14, shifts=1, folded="padded-window")
class ShiftIntoConv3x3(nn.Module):
    """Shift before a padded 3x3 convolution: taps in the padding read zero where the source has values."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.shift = conv(16, 18), OneHotShift(grouped_offsets(18))
        self.after = conv(18, 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.shift(F.relu(self.before(x))))


@catalogued(1, 16, 14, 14, shifts=1, folded="clipped-border")
class ShiftThereAndBack(nn.Module):
    """Two shifts that cancel, except that rows pushed out do not come back: a border of zeros inside."""

    def __init__(self) -> None:
        super().__init__()
        there = grouped_offsets(36)
        self.before, self.after = conv(16, 36), conv(36, 16)
        self.there = OneHotShift(there)
        self.back = OneHotShift([(-dy, -dx) for dy, dx in there])

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.back(self.there(F.relu(self.before(x)))))


@catalogued(1, 16, 14, 14, shifts=1)
class ShiftThenShuffle(nn.Module):
    """Shift, channel shuffle in 3 groups, split, concat in other order: one index map before the 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.shift, self.after = conv(16, 36), OneHotShift(grouped_offsets(36)), conv(36, 16)

    def forward(self, x: Tensor) -> Tensor:
        moved = channel_shuffle(self.shift(F.relu(self.before(x))), 3)
        first, second = moved[:, :10], moved[:, 10:]
        return self.after(torch.cat((second, first), dim=1))
