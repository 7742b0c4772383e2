"""Shift as an operator of its own, `Shift` of domain `shiftc`, as a CUDA extension would export it.

The TorchScript exporter asks the autograd function for its `symbolic`; the dynamo exporter does not,
so for it the module emits the same node through `torch.onnx.ops.symbolic`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from definitions.blocks import Offsets, OneHotShift, PadSliceShift, conv, grouped_offsets, modulo_offsets
from definitions.catalogue import catalogued

LAYOUTS = {"grouped": grouped_offsets, "modulo": modulo_offsets}


class WindowShiftFunction(torch.autograd.Function):
    """`shiftc::Shift(x)` with attributes kernel_size, dilation and layout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel_size: int, dilation: int, layout: str) -> Tensor:
        return PadSliceShift(LAYOUTS[layout](int(x.shape[1]), kernel_size, dilation))(x)

    @staticmethod
    def symbolic(g: Any, x: Any, kernel_size: int, dilation: int, layout: str) -> Any:
        moved = g.op("shiftc::Shift", x, kernel_size_i=kernel_size, dilation_i=dilation, layout_s=layout)
        return moved.setType(x.type())


class OffsetsShiftFunction(torch.autograd.Function):
    """`shiftc::Shift(x, offsets)` with int64 offsets [C, 2], a pair (dy, dx) per channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, offsets: Tensor) -> Tensor:
        return PadSliceShift([(dy, dx) for dy, dx in offsets.tolist()])(x)

    @staticmethod
    def symbolic(g: Any, x: Any, offsets: Any) -> Any:
        return g.op("shiftc::Shift", x, offsets).setType(x.type())


class WindowShift(nn.Module):
    """Shift by the displacements of a kernel_size x kernel_size window."""

    def __init__(self, kernel_size: int, dilation: int, layout: str) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.layout = kernel_size, dilation, layout

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            attributes = {"kernel_size": self.kernel_size, "dilation": self.dilation, "layout": self.layout}
            return torch.onnx.ops.symbolic(
                "shiftc::Shift", (x,), attributes, dtype=x.dtype, shape=x.shape, version=1
            )
        moved: Tensor = WindowShiftFunction.apply(x, self.kernel_size, self.dilation, self.layout)
        return moved


class OffsetsShift(nn.Module):
    """Shift by an explicit table."""

    offsets: Tensor

    def __init__(self, offsets: Offsets) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.tensor(offsets))

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return torch.onnx.ops.symbolic(
                "shiftc::Shift", (x, self.offsets), dtype=x.dtype, shape=x.shape, version=1
            )
        moved: Tensor = OffsetsShiftFunction.apply(x, self.offsets)
        return moved


class TwoShifts(nn.Module):
    """conv -> ReLU -> shift -> conv -> ReLU -> shift -> conv."""

    def __init__(self, shift1: nn.Module, shift2: nn.Module) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = conv(16, 20), conv(20, 24), conv(24, 16)
        self.shift1, self.shift2 = shift1, shift2

    def forward(self, x: Tensor) -> Tensor:
        y = self.shift1(F.relu(self.conv1(x)))
        return self.conv3(self.shift2(F.relu(self.conv2(y))))


@catalogued(1, 16, 14, 14, shifts=2, custom_op=True, same_as="custom_window_twin")
class CustomWindow(TwoShifts):
    """The custom operator with attributes: grouped layout, then modulo layout with dilation 2."""

    def __init__(self) -> None:
        super().__init__(WindowShift(3, 1, "grouped"), WindowShift(3, 2, "modulo"))


@catalogued(1, 16, 14, 14, shifts=2)
class CustomWindowTwin(TwoShifts):
    """custom_window with one-hot depthwise convolutions in place of the custom operator."""

    def __init__(self) -> None:
        super().__init__(
            OneHotShift(grouped_offsets(20)), OneHotShift(modulo_offsets(24, dilation=2), dilation=2)
        )


TABLE_1 = [(c % 5 - 2, c * 3 % 5 - 2) for c in range(20)]
TABLE_2 = [(0, c % 3 - 1) for c in range(24)]


@catalogued(1, 16, 14, 14, shifts=2, custom_op=True, same_as="custom_offsets_twin")
class CustomOffsets(TwoShifts):
    """The custom operator with an explicit table as second input."""

    def __init__(self) -> None:
        super().__init__(OffsetsShift(TABLE_1), OffsetsShift(TABLE_2))


@catalogued(1, 16, 14, 14, shifts=2)
class CustomOffsetsTwin(TwoShifts):
    """custom_offsets with one-hot depthwise convolutions in place of the custom operator."""

    def __init__(self) -> None:
        super().__init__(OneHotShift(TABLE_1, kernel_size=5), OneHotShift(TABLE_2))
