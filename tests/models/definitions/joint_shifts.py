"""Shift over the joints of a skeleton graph, [N, C, T, V], as constant gathers (Cheng et al., 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import conv_bn
from definitions.catalogue import catalogued

JOINTS = 25


def joint_indices(channels: int, direction: int) -> Tensor:
    """Channel c reads the joint `direction`·c further on, modulo the number of joints; flat over (V, C)."""
    joint, channel = torch.meshgrid(torch.arange(JOINTS), torch.arange(channels), indexing="ij")
    return ((joint + direction * channel) % JOINTS * channels + channel).flatten()


@catalogued(1, 16, 8, JOINTS, shifts=2, folded="positional-constant")
class ShiftGcn(nn.Module):
    """Shift-GCN's spatial block: gather, mask per joint and channel, Linear, gather back, BatchNorm1d.

    Both shifts wrap over the joints; constants that differ per joint stand between them and the Linear.
    """

    shift_in: Tensor
    shift_out: Tensor

    def __init__(self, inputs: int = 16, outputs: int = 24) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.linear_weight = nn.Parameter(torch.empty(inputs, outputs))
        self.linear_bias = nn.Parameter(torch.empty(1, 1, outputs))
        self.feature_mask = nn.Parameter(torch.empty(1, JOINTS, inputs))
        self.norm = nn.BatchNorm1d(JOINTS * outputs)
        self.down = conv_bn(inputs, outputs)
        self.register_buffer("shift_in", joint_indices(inputs, 1))
        self.register_buffer("shift_out", joint_indices(outputs, -1))

    def forward(self, x: Tensor) -> Tensor:
        batch, _, frames, joints = x.shape
        y = x.permute(0, 2, 3, 1).contiguous().view(batch * frames, joints * self.inputs)
        y = torch.index_select(y, 1, self.shift_in).view(batch * frames, joints, self.inputs)
        y = y * (torch.tanh(self.feature_mask) + 1)
        y = torch.einsum("nwc,cd->nwd", y, self.linear_weight) + self.linear_bias
        y = torch.index_select(y.reshape(batch * frames, -1), 1, self.shift_out)
        y = self.norm(y).view(batch, frames, joints, self.outputs).permute(0, 3, 1, 2)
        return F.relu(y + self.down(x))


@catalogued(1, 16, 8, JOINTS, shifts=1)
class JointShift(nn.Module):
    """The gather alone between two 1x1 convolutions: a cyclic shift along the last axis."""

    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.before = conv_bn(16, 32, activation=nn.ReLU)
        self.after = conv_bn(32, 16)
        self.register_buffer("shift", joint_indices(32, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        batch, channels, frames, joints = y.shape
        y = y.permute(0, 2, 3, 1).reshape(batch * frames, joints * channels)
        y = torch.index_select(y, 1, self.shift)
        return self.after(y.view(batch, frames, joints, channels).permute(0, 3, 1, 2))
