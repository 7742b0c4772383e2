"""A tensor of a graph under construction, with the estimated statistics of its channels.

The estimates follow mean and variance of every channel through the operators, taking values as
independent and Gaussian where they are not. They are what batch normalization would have measured in
training, up to that approximation, and keep activations of order one however deep a network is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
ChannelValues: TypeAlias = NDArray[np.float64]
"""One value per channel."""

BORDER_SPREAD = 0.3
"""Share of a channel's squared mean that a zero border turns into variance."""

_MAXIMUM_OF_GAUSSIANS = {4: 1.029, 9: 1.485}
"""Mean of the largest of n standard normal values."""


@attrs.frozen(eq=False)
class Statistics:
    """Estimated mean and variance of each channel."""

    mean: ChannelValues
    variance: ChannelValues

    @classmethod
    def standard(cls, channels: int) -> Statistics:
        """Mean 0 and variance 1."""
        return cls(np.zeros(channels), np.ones(channels))

    @classmethod
    def zero(cls, channels: int) -> Statistics:
        """A constant zero."""
        return cls(np.zeros(channels), np.zeros(channels))

    @classmethod
    def joined(cls, parts: Sequence[Statistics]) -> Statistics:
        """Of a concatenation of channels."""
        return cls(np.concatenate([p.mean for p in parts]), np.concatenate([p.variance for p in parts]))

    @property
    def moment(self) -> float:
        """Mean of the squared values over all channels."""
        return float(np.mean(self.mean**2 + self.variance))

    def channels(self, selection: slice | NDArray[Any]) -> Statistics:
        return Statistics(self.mean[selection], self.variance[selection])

    def convolved(self, weight: FloatArray, groups: int) -> Statistics:
        """After a convolution with `weight` [outputs, inputs / groups, ...]."""
        grouped = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1).astype(np.float64)
        mean = np.einsum("goit,gi->go", grouped, self.mean.reshape(groups, -1))
        spread = self.variance + (BORDER_SPREAD * self.mean**2 if grouped.shape[-1] > 1 else 0)
        variance = np.einsum("goit,gi->go", grouped**2, spread.reshape(groups, -1))
        return Statistics(mean.ravel(), variance.ravel())

    def rectified(self) -> Statistics:
        """After ReLU (and, nearly enough, after ReLU6 or GELU)."""
        deviation = np.sqrt(self.variance) + 1e-12
        ratio = self.mean / deviation
        density = np.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
        positive = np.array([(1 + math.erf(z / math.sqrt(2))) / 2 for z in ratio])
        mean = self.mean * positive + deviation * density
        square = (self.mean**2 + self.variance) * positive + self.mean * deviation * density
        return Statistics(mean, np.maximum(square - mean**2, 0))

    def added(self, other: Statistics) -> Statistics:
        return Statistics(self.mean + other.mean, self.variance + other.variance)

    def maximum(self, window: int) -> Statistics:
        """Of the largest of `window` values; overlapping windows keep the variance up."""
        return Statistics(self.mean + _MAXIMUM_OF_GAUSSIANS[window] * np.sqrt(self.variance), self.variance)

    def averaged(self, window: int) -> Statistics:
        """Of the mean of `window` neighbouring, hence correlated, values."""
        return Statistics(self.mean, self.variance / math.sqrt(window))


@attrs.frozen(eq=False)
class Tensor:
    """A float32 value: [batch, channels, rows, columns], after the pooling [batch, channels]."""

    name: str
    shape: tuple[int, ...]
    statistics: Statistics

    @property
    def channels(self) -> int:
        return self.shape[1]
