"""Writes ONNX graphs operator by operator, as an exporter would, with random weights of sane scale.

Batch normalization is not folded: a convolution without bias is followed by BatchNormalization, as
in a model exported with its training graph preserved. Weights are He-initialized (He et al., ICCV
2015). The builder carries an estimate of every tensor's second moment, from which it takes the
"running" statistics of each BatchNormalization, so that activations neither vanish nor explode
however deep the network is, just as with the statistics of a trained one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

FloatArray: TypeAlias = NDArray[np.float32]


@attrs.frozen
class Tensor:
    """A float32 value of the graph.

    shape:  its extents; networks use [batch, channels, rows, columns] until the classifier.
    moment: estimate of the mean of its squared elements.
    """

    name: str
    shape: tuple[int, ...]
    moment: float = 1.0

    @property
    def channels(self) -> int:
        return self.shape[1]


def output_extent(extent: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Rows (or columns) of the output of a convolution or pooling."""
    return (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


class GraphBuilder:
    """One method per operator; each appends nodes and returns the tensor they produce."""

    def __init__(self, name: str, input_shape: Sequence[int], random: np.random.Generator) -> None:
        self.input = Tensor("input", tuple(input_shape))
        self._name = name
        self._random = random
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._count: Counter[str] = Counter()

    # --- convolutions and classifiers

    def conv(
        self,
        x: Tensor,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        bias: bool = False,
    ) -> Tensor:
        """Conv; `padding` defaults to kernel // 2, which keeps the extents at stride 1."""
        fan_in = x.channels // groups * kernel * kernel
        weight = self._normal((channels, x.channels // groups, kernel, kernel), math.sqrt(2 / fan_in))
        parameters = [("weight", weight)]
        if bias:
            parameters.append(("bias", self._normal((channels,), 0.1)))
        return self._conv(x, parameters, stride, groups, padding, 2 * x.moment)

    def depthwise_conv(self, x: Tensor, kernel: int = 3, *, stride: int = 1) -> Tensor:
        """Conv with one filter per channel."""
        return self.conv(x, x.channels, kernel, stride=stride, groups=x.channels)

    def one_hot_conv(self, x: Tensor, kernels: FloatArray, *, stride: int = 1) -> Tensor:
        """Depthwise Conv with the given one-hot kernels [C, 1, k, k]: how exporters write a shift."""
        return self._conv(x, [("weight", kernels)], stride, x.channels, None, x.moment)

    def linear(self, x: Tensor, features: int) -> Tensor:
        """Gemm with a transposed weight and a bias, as a fully connected layer is exported."""
        rows, fan_in = x.shape
        name = self._new_name("Gemm")
        weight = self._normal((features, fan_in), math.sqrt(1 / fan_in))
        bias = self._normal((features,), 0.1)
        inputs = [x.name, self._initializer(f"{name}.weight", weight), self._initializer(f"{name}.bias", bias)]
        return self._append("Gemm", inputs, (rows, features), x.moment, name=name, transB=1)

    # --- normalization and activations

    def batch_norm(self, x: Tensor, *, gain: float = 1.0) -> Tensor:
        """BatchNormalization with random scale (around `gain`), bias, mean and variance."""
        channels, deviation = x.channels, math.sqrt(x.moment)
        name = self._new_name("BatchNormalization")
        parameters = {
            "weight": gain * self._random.uniform(0.7, 1.3, channels),
            "bias": gain * self._random.normal(0, 0.2, channels),
            "running_mean": deviation * self._random.normal(0, 0.1, channels),
            "running_var": x.moment * self._random.uniform(0.7, 1.4, channels),
        }
        inputs = [x.name]
        inputs += [self._initializer(f"{name}.{key}", v.astype(np.float32)) for key, v in parameters.items()]
        return self._append("BatchNormalization", inputs, x.shape, 1.1 * gain**2, name=name, epsilon=1e-5)

    def relu(self, x: Tensor) -> Tensor:
        return self._append("Relu", [x.name], x.shape, x.moment / 2)

    def relu6(self, x: Tensor) -> Tensor:
        """ReLU6 as PyTorch exports it: Clip with bounds as inputs."""
        low = self._initializer(f"{self._new_name('min')}", np.array(0, np.float32))
        high = self._initializer(f"{self._new_name('max')}", np.array(6, np.float32))
        return self._append("Clip", [x.name, low, high], x.shape, x.moment / 2)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU in its exact form, x · (1 + erf(x / √2)) / 2, as opset 17 has to spell it."""
        scaled = self._append("Div", [x.name, self._scalar(math.sqrt(2))], x.shape, x.moment / 2)
        error = self._append("Erf", [scaled.name], x.shape, 0.5)
        shifted = self._append("Add", [error.name, self._scalar(1.0)], x.shape, 1.5)
        product = self._append("Mul", [x.name, shifted.name], x.shape, 2 * x.moment)
        return self._append("Mul", [product.name, self._scalar(0.5)], x.shape, x.moment / 2)

    # --- element-wise and pooling

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return self._append("Add", [x.name, y.name], x.shape, x.moment + y.moment)

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
        return self._pool("MaxPool", x, kernel, stride, padding, 2 * x.moment)

    def average_pool(self, x: Tensor, kernel: int, stride: int, padding: int = 0) -> Tensor:
        """AveragePool that counts its padding, PyTorch's default."""
        return self._pool("AveragePool", x, kernel, stride, padding, x.moment, count_include_pad=1)

    def global_average_pool(self, x: Tensor) -> Tensor:
        """GlobalAveragePool and Flatten: [batch, channels]."""
        pooled = self._append("GlobalAveragePool", [x.name], (*x.shape[:2], 1, 1), x.moment)
        return self._append("Flatten", [pooled.name], x.shape[:2], x.moment, axis=1)

    # --- data movement

    def concat(self, parts: Sequence[Tensor], axis: int = 1) -> Tensor:
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        moment = sum(part.moment * part.shape[axis] for part in parts) / shape[axis]
        return self._append("Concat", [part.name for part in parts], tuple(shape), moment, axis=axis)

    def split(self, x: Tensor, sizes: Sequence[int], axis: int = 1) -> list[Tensor]:
        """Split along `axis` into parts of the given sizes."""
        name = self._new_name("Split")
        outputs = [Tensor(f"{name}_output_{i}", _resized(x.shape, axis, n), x.moment) for i, n in enumerate(sizes)]
        inputs = [x.name, self._indices(f"{name}.split", sizes)]
        self._nodes.append(helper.make_node("Split", inputs, [y.name for y in outputs], name=name, axis=axis))
        return outputs

    def slice(self, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """`x[..., start:stop, ...]` along `axis`, with 0 <= start < stop <= extent."""
        name = self._new_name("Slice")
        bounds = {"starts": [start], "ends": [stop], "axes": [axis], "steps": [1]}
        inputs = [x.name] + [self._indices(f"{name}.{key}", values) for key, values in bounds.items()]
        return self._append("Slice", inputs, _resized(x.shape, axis, stop - start), x.moment, name=name)

    def pad(self, x: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """Pad with zeros: `before[i]` and `after[i]` elements along axis `i`."""
        name = self._new_name("Pad")
        shape = tuple(n + b + a for n, b, a in zip(x.shape, before, after, strict=True))
        inputs = [x.name, self._indices(f"{name}.pads", [*before, *after])]
        moment = x.moment * math.prod(x.shape) / math.prod(shape)
        return self._append("Pad", inputs, shape, moment, name=name, mode="constant")

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        name = self._new_name("Reshape")
        inputs = [x.name, self._indices(f"{name}.shape", shape)]
        return self._append("Reshape", inputs, tuple(shape), x.moment, name=name)

    def transpose(self, x: Tensor, permutation: Sequence[int]) -> Tensor:
        shape = tuple(x.shape[axis] for axis in permutation)
        return self._append("Transpose", [x.name], shape, x.moment, perm=list(permutation))

    def channel_shuffle(self, x: Tensor, groups: int) -> Tensor:
        """Channel shuffle (Zhang et al., CVPR 2018) as exported: Reshape, Transpose, Reshape."""
        batch, channels, rows, columns = x.shape
        grouped = self.reshape(x, (batch, groups, channels // groups, rows, columns))
        return self.reshape(self.transpose(grouped, (0, 2, 1, 3, 4)), x.shape)

    def zeros_like(self, x: Tensor) -> Tensor:
        """A constant of zeros in the shape of `x` (what `torch.zeros_like` is exported as)."""
        value = np.zeros(x.shape, np.float32)
        return Tensor(self._initializer(self._new_name("zeros"), value), x.shape, 0.0)

    def assign(self, x: Tensor, region: Sequence[slice], updates: Tensor) -> Tensor:
        """`x[region] = updates` as exported: ScatterND with constant indices.

        region: slices of the leading axes, with start and stop; `updates` has the region's shape.
        """
        axes = [np.arange(part.start, part.stop) for part in region]
        indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.int64)
        name = self._new_name("ScatterND")
        inputs = [x.name, self._initializer(f"{name}.indices", indices), updates.name]
        share = math.prod(updates.shape) / math.prod(x.shape)
        moment = (1 - share) * x.moment + share * updates.moment
        return self._append("ScatterND", inputs, x.shape, moment, name=name)

    # --- the finished model

    def model(self, output: Tensor) -> onnx.ModelProto:
        """The graph from `input` to `output` as a checked-in-form ModelProto."""
        # Real exporters name the output; a last Identity would be an operator of its own.
        for node in self._nodes:
            node.output[:] = ["output" if name == output.name else name for name in node.output]
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.input.shape)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
            self._initializers,
        )
        opset = helper.make_operatorsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="shiftc.zoo")

    # --- helpers

    def _conv(
        self,
        x: Tensor,
        parameters: Sequence[tuple[str, FloatArray]],
        stride: int,
        groups: int,
        padding: int | None,
        moment: float,
    ) -> Tensor:
        channels, _, kernel, _ = parameters[0][1].shape
        pad = kernel // 2 if padding is None else padding
        rows, columns = (output_extent(extent, kernel, stride, pad) for extent in x.shape[2:])
        name = self._new_name("Conv")
        return self._append(
            "Conv",
            [x.name] + [self._initializer(f"{name}.{key}", value) for key, value in parameters],
            (x.shape[0], channels, rows, columns),
            moment,
            name=name,
            dilations=[1, 1],
            group=groups,
            kernel_shape=[kernel, kernel],
            pads=[pad] * 4,
            strides=[stride, stride],
        )

    def _pool(
        self, operator: str, x: Tensor, kernel: int, stride: int, padding: int, moment: float, **attributes: Any
    ) -> Tensor:
        extents = (output_extent(extent, kernel, stride, padding) for extent in x.shape[2:])
        return self._append(
            operator,
            [x.name],
            (*x.shape[:2], *extents),
            moment,
            kernel_shape=[kernel, kernel],
            pads=[padding] * 4,
            strides=[stride, stride],
            **attributes,
        )

    def _append(
        self,
        operator: str,
        inputs: Sequence[str],
        shape: tuple[int, ...],
        moment: float,
        name: str | None = None,
        **attributes: Any,
    ) -> Tensor:
        name = name or self._new_name(operator)
        output = Tensor(f"{name}_output_0", shape, moment)
        self._nodes.append(helper.make_node(operator, list(inputs), [output.name], name=name, **attributes))
        return output

    def _new_name(self, kind: str) -> str:
        self._count[kind] += 1
        return f"{kind}_{self._count[kind] - 1}"

    def _normal(self, shape: Sequence[int], deviation: float) -> FloatArray:
        values: FloatArray = self._random.standard_normal(tuple(shape), np.float32) * np.float32(deviation)
        return values

    def _initializer(self, name: str, value: NDArray[Any]) -> str:
        self._initializers.append(numpy_helper.from_array(value, name))
        return name

    def _indices(self, name: str, values: Sequence[int]) -> str:
        return self._initializer(name, np.array(values, np.int64))

    def _scalar(self, value: float) -> str:
        return self._initializer(self._new_name("scalar"), np.array(value, np.float32))


def _resized(shape: tuple[int, ...], axis: int, extent: int) -> tuple[int, ...]:
    return (*shape[:axis], extent, *shape[axis + 1 :])
