"""The shift operation as one-hot depthwise kernels (Wu et al., CVPR 2018, section 3.1)."""

from __future__ import annotations

import numpy as np

from shiftc.zoo.graph_builder import GraphBuilder
from shiftc.zoo.tensor import FloatArray, Tensor


def grouped_shift_kernels(channels: int, kernel: int) -> FloatArray:
    """Kernels [channels, 1, kernel, kernel] of the paper's grouped shift.

    The channels form kernel² contiguous groups of ⌊channels / kernel²⌋, one displacement per group,
    in row-major order; the channels left over stay in place (the centre tap).
    """
    taps = kernel * kernel
    group = channels // taps
    tap = np.full(channels, taps // 2)
    tap[: group * taps] = np.repeat(np.arange(taps), group)
    kernels = np.zeros((channels, taps), np.float32)
    kernels[np.arange(channels), tap] = 1
    return kernels.reshape(channels, 1, kernel, kernel)


def shift(graph: GraphBuilder, x: Tensor, kernel: int = 3, *, stride: int = 1) -> Tensor:
    """Grouped shift of `x` [batch, channels, rows, columns] with zero border."""
    kernels = grouped_shift_kernels(x.channels, kernel)
    return graph.conv_with(x, kernels, stride=stride, groups=x.channels)
