"""Writes networks operator by operator in the forms real exporters write, with random weights.

Batch normalization is not folded: a convolution without bias is followed by BatchNormalization, as
in a model exported with its training graph preserved. Weights are He-initialized (He et al., ICCV
2015); the running statistics of a BatchNormalization scatter around the estimates of `tensor`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shiftc.zoo.graph_writer import GraphWriter
from shiftc.zoo.tensor import FloatArray, Statistics, Tensor


class GraphBuilder(GraphWriter):
    """One method per operator; each appends nodes and returns the tensor they produce."""

    def __init__(self, name: str, input_shape: Sequence[int], random: np.random.Generator) -> None:
        super().__init__(name, input_shape)
        self._random = random

    # Convolutions and fully connected layers.

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
    ) -> Tensor:
        """Conv without bias; `padding` defaults to kernel // 2, which keeps the extents at stride 1."""
        shape = (channels, x.channels // groups, kernel, kernel)
        weight = self._normal(shape, math.sqrt(2 / math.prod(shape[1:])))
        return self.conv_with(x, weight, stride=stride, groups=groups, padding=padding)

    def depthwise_conv(self, x: Tensor, kernel: int = 3, *, stride: int = 1) -> Tensor:
        """Conv with one filter per channel."""
        return self.conv(x, x.channels, kernel, stride=stride, groups=x.channels)

    def conv_with(
        self, x: Tensor, weight: FloatArray, *, stride: int = 1, groups: int = 1, padding: int | None = None
    ) -> Tensor:
        """Conv with the given weight [channels, inputs / groups, k, k]."""
        channels, _, kernel, _ = weight.shape
        pad = kernel // 2 if padding is None else padding
        name = self.new_name("Conv")
        return self.node(
            "Conv",
            [x.name, self.initializer(f"{name}.weight", weight)],
            (x.shape[0], channels, *_window_extents(x, kernel, stride, pad)),
            x.statistics.convolved(weight, groups),
            name=name,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[stride, stride],
        )

    def linear(self, x: Tensor, features: int) -> Tensor:
        """Gemm of x [batch, channels] with a transposed weight and a bias."""
        batch, channels = x.shape
        name = self.new_name("Gemm")
        weight = self._normal((features, channels), 1 / math.sqrt(channels * x.statistics.moment))
        inputs = [
            x.name,
            self.initializer(f"{name}.weight", weight),
            self.initializer(f"{name}.bias", self._normal((features,), 0.1)),
        ]
        statistics = x.statistics.convolved(weight, 1)
        return self.node("Gemm", inputs, (batch, features), statistics, name=name, transB=1)

    # Normalization, activations and other arithmetic.

    def batch_norm(self, x: Tensor, *, gain: float = 1.0) -> Tensor:
        """BatchNormalization with random scale and bias, both in proportion to `gain`."""
        channels, deviation = x.channels, np.sqrt(x.statistics.variance)
        scale = gain * self._random.uniform(0.7, 1.3, channels)
        bias = gain * self._random.normal(0, 0.3, channels)
        mean = x.statistics.mean + deviation * self._random.normal(0, 0.1, channels)
        variance = x.statistics.variance * self._random.uniform(0.8, 1.8, channels) + 1e-3
        name = self.new_name("BatchNormalization")
        inputs = [x.name]
        parameters = {"weight": scale, "bias": bias, "running_mean": mean, "running_var": variance}
        inputs += [self.initializer(f"{name}.{key}", v.astype(np.float32)) for key, v in parameters.items()]
        slope = scale / np.sqrt(variance)
        statistics = Statistics(bias + slope * (x.statistics.mean - mean), slope**2 * x.statistics.variance)
        return self.node("BatchNormalization", inputs, x.shape, statistics, name=name, epsilon=1e-5)

    def relu(self, x: Tensor) -> Tensor:
        return self.node("Relu", [x.name], x.shape, x.statistics.rectified())

    def relu6(self, x: Tensor) -> Tensor:
        """ReLU6: Clip with its bounds as inputs."""
        inputs = [x.name, self._scalar(0), self._scalar(6)]
        return self.node("Clip", inputs, x.shape, x.statistics.rectified())

    def gelu(self, x: Tensor) -> Tensor:
        """GELU in its exact form, x · (1 + erf(x / √2)) / 2, as opset 17 has to spell it."""
        shape, statistics = x.shape, x.statistics.rectified()
        scaled = self.node("Div", [x.name, self._scalar(math.sqrt(2))], shape, statistics)
        error = self.node("Erf", [scaled.name], shape, statistics)
        raised = self.node("Add", [error.name, self._scalar(1)], shape, statistics)
        product = self.node("Mul", [x.name, raised.name], shape, statistics)
        return self.node("Mul", [product.name, self._scalar(0.5)], shape, statistics)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return self.node("Add", [x.name, y.name], x.shape, x.statistics.added(y.statistics))

    # Pooling.

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
        return self._pool("MaxPool", x, kernel, stride, padding, x.statistics.maximum(kernel * kernel))

    def average_pool(self, x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
        """AveragePool that counts its padding, PyTorch's default."""
        statistics = x.statistics.averaged(kernel * kernel)
        return self._pool("AveragePool", x, kernel, stride, padding, statistics, count_include_pad=1)

    def global_average_pool(self, x: Tensor) -> Tensor:
        """GlobalAveragePool and Flatten: [batch, channels]."""
        statistics = x.statistics.averaged(math.prod(x.shape[2:]))
        pooled = self.node("GlobalAveragePool", [x.name], (*x.shape[:2], 1, 1), statistics)
        return self.node("Flatten", [pooled.name], x.shape[:2], statistics, axis=1)

    # Data movement.

    def concat(self, parts: Sequence[Tensor], axis: int = 1) -> Tensor:
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        statistics = Statistics.joined([p.statistics for p in parts]) if axis == 1 else parts[0].statistics
        return self.node("Concat", [part.name for part in parts], shape, statistics, axis=axis)

    def split(self, x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Split of the channels into parts of the given sizes."""
        stops = np.cumsum(sizes).tolist()
        return [
            Tensor(name, _with_extent(x, 1, size), x.statistics.channels(slice(stop - size, stop)))
            for name, size, stop in zip(self.split_node(x, sizes), sizes, stops, strict=True)
        ]

    def slice(self, x: Tensor, axis: int, start: int, stop: int, step: int = 1) -> Tensor:
        """`x[..., start:stop:step, ...]` along `axis`, with 0 <= start < stop <= extent."""
        name = self.new_name("Slice")
        bounds = {"starts": start, "ends": stop, "axes": axis, "steps": step}
        inputs = [x.name] + [self.indices(f"{name}.{key}", [value]) for key, value in bounds.items()]
        shape = _with_extent(x, axis, len(range(start, stop, step)))
        statistics = x.statistics.channels(slice(start, stop, step)) if axis == 1 else x.statistics
        return self.node("Slice", inputs, shape, statistics, name=name)

    def pad_channels(self, x: Tensor, after: int) -> Tensor:
        """Pad with `after` channels of zeros."""
        statistics = Statistics.joined([x.statistics, Statistics.zero(after)])
        return self._pad(
            x, (0, after, 0, 0), _with_extent(x, 1, x.channels + after), statistics, before=False
        )

    def pad_border(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Pad with zeros on both sides of the rows and of the columns."""
        shape = (*x.shape[:2], x.shape[2] + 2 * rows, x.shape[3] + 2 * columns)
        return self._pad(x, (0, 0, rows, columns), shape, x.statistics, before=True)

    def channel_shuffle(self, x: Tensor, groups: int) -> Tensor:
        """Channel shuffle (Zhang et al., CVPR 2018) as exported: Reshape, Transpose, Reshape."""
        batch, channels, rows, columns = x.shape
        order = np.arange(channels).reshape(groups, -1).T.ravel()
        statistics = x.statistics.channels(order)
        grouped = self._reshape(x, (batch, groups, channels // groups, rows, columns))
        swapped = (batch, channels // groups, groups, rows, columns)
        transposed = self.node("Transpose", [grouped.name], swapped, statistics, perm=[0, 2, 1, 3, 4])
        return self._reshape(transposed, x.shape)

    def zeros(self, shape: Sequence[int]) -> Tensor:
        """ConstantOfShape, what `torch.zeros_like` becomes."""
        name = self.new_name("ConstantOfShape")
        return self.node(
            "ConstantOfShape",
            [self.indices(f"{name}.shape", shape)],
            shape,
            Statistics.zero(shape[1]),
            name=name,
        )

    def assign(self, x: Tensor, region: Sequence[range], updates: Tensor) -> Tensor:
        """`x[region] = updates` as exported: ScatterND with constant indices.

        region: the indices assigned to of the leading axes, at least batch and channels.
        """
        indices = np.stack(np.meshgrid(*region, indexing="ij"), axis=-1).astype(np.int64)
        name = self.new_name("ScatterND")
        inputs = [x.name, self.initializer(f"{name}.indices", indices), updates.name]
        mean, variance = x.statistics.mean.copy(), x.statistics.variance.copy()
        mean[region[1]], variance[region[1]] = updates.statistics.mean, updates.statistics.variance
        return self.node("ScatterND", inputs, x.shape, Statistics(mean, variance), name=name)

    # Helpers.

    def _pool(
        self,
        operator: str,
        x: Tensor,
        kernel: int,
        stride: int,
        padding: int,
        statistics: Statistics,
        **attributes: Any,
    ) -> Tensor:
        shape = (*x.shape[:2], *_window_extents(x, kernel, stride, padding))
        attributes |= {"kernel_shape": [kernel] * 2, "pads": [padding] * 4, "strides": [stride] * 2}
        return self.node(operator, [x.name], shape, statistics, **attributes)

    def _pad(
        self, x: Tensor, amounts: Sequence[int], shape: Sequence[int], statistics: Statistics, *, before: bool
    ) -> Tensor:
        name = self.new_name("Pad")
        pads = [*(amounts if before else [0] * len(amounts)), *amounts]
        inputs = [x.name, self.indices(f"{name}.pads", pads)]
        return self.node("Pad", inputs, shape, statistics, name=name, mode="constant")

    def _reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        name = self.new_name("Reshape")
        inputs = [x.name, self.indices(f"{name}.shape", shape)]
        return self.node("Reshape", inputs, shape, x.statistics, name=name)

    def _normal(self, shape: Sequence[int], deviation: float) -> FloatArray:
        values: FloatArray = self._random.standard_normal(tuple(shape), np.float32) * np.float32(deviation)
        return values

    def _scalar(self, value: float) -> str:
        return self.initializer(self.new_name("scalar"), np.array(value, np.float32))


def _window_extents(x: Tensor, kernel: int, stride: int, padding: int) -> list[int]:
    """Rows and columns of the output of a convolution or pooling."""
    return [(extent + 2 * padding - kernel) // stride + 1 for extent in x.shape[2:]]


def _with_extent(x: Tensor, axis: int, extent: int) -> tuple[int, ...]:
    return (*x.shape[:axis], extent, *x.shape[axis + 1 :])
