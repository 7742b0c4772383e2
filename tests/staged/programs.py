"""Small staged programs, made without the compiler, and what onnxruntime computes for the same operators."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import onnxruntime
from hypothesis import strategies
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tvm_passes.index_map import Box, IndexMap, Piece, Shape
from tvm_passes.staged.program import Buffer, Operand, Operator, Port, PostOperation, StagedProgram

Array = np.ndarray
Offset = tuple[int, int] | None
"""Rows and columns that a tensor is shifted by, zeros following; None: not at all."""


@attrs.frozen
class ConvAdd:
    """relu and add in either order behind a convolution of x; what is added is r, or a convolution of r.

    offset, other_offset: of x before it is convolved, of what is added.
    lanes: channels that are summed together, tap by tap.
    given: inputs in place of random ones.
    """

    height: int = 7
    width: int = 5
    channels: int = 4
    out_channels: int = 6
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    padding: int = 1
    groups: int = 1
    batch: int = 1
    relu_first: bool = False
    other_is_conv: bool = False
    other_kernel: int = 1
    offset: Offset = None
    other_offset: Offset = None
    lanes: int = 1
    given: Mapping[str, Array] = attrs.field(factory=dict, eq=False)

    @property
    def output(self) -> tuple[int, int, int, int]:
        reach = (self.kernel - 1) * self.dilation + 1
        rows, columns = ((n + 2 * self.padding - reach) // self.stride + 1 for n in (self.height, self.width))
        return (self.batch, self.out_channels, rows, columns)

    @property
    def is_possible(self) -> bool:
        return min(self.output) > 0 and self.channels % self.groups == self.out_channels % self.groups == 0

    @property
    def inputs(self) -> dict[str, Array]:
        x = (self.batch, self.channels, self.height, self.width)
        return {"x": random_values(x, 0), "r": random_values(self.output, 1), **self.given}

    @property
    def weights(self) -> dict[str, Array]:
        weight = (self.out_channels, self.channels // self.groups, self.kernel, self.kernel)
        return {
            "conv.weight": random_values(weight, 2),
            "conv.bias": random_values((self.out_channels,), 3),
            "other.weight": random_values(
                (self.out_channels, self.out_channels, *[self.other_kernel] * 2), 4
            ),
        }

    @property
    def program(self) -> StagedProgram:
        """Operators and buffers; `tile` makes its stages."""
        buffers = [
            *(Buffer(name, "input", value.shape) for name, value in self.inputs.items()),
            *(Buffer(name, "weight", value.shape) for name, value in self.weights.items()),
            *(Buffer(name, "plane", self.output) for name in ("other", "conv")),
        ]
        other = Operator(
            name="other",
            kind="convolution",
            nodes=("other",),
            operand=Operand(("r",)),
            output="other",
            kernel=(self.other_kernel, self.other_kernel),
            padding=(self.other_kernel // 2,) * 4,
            weight="other.weight",
        )
        second = Operand(("other" if self.other_is_conv else "r",), _shifted(self.output, self.other_offset))
        added = PostOperation("add", operand=second)
        behind = [PostOperation("relu"), added] if self.relu_first else [added, PostOperation("relu")]
        conv = Operator(
            name="conv",
            kind="convolution",
            nodes=("conv", "add", "relu"),
            operand=Operand(("x",), self._map),
            lanes=self.lanes,
            output="conv",
            kernel=(self.kernel, self.kernel),
            stride=(self.stride, self.stride),
            padding=(self.padding,) * 4,
            dilation=(self.dilation, self.dilation),
            groups=self.groups,
            weight="conv.weight",
            epilogue=(PostOperation("add_vector", vector="conv.bias"), *behind),
        )
        operators = (other, conv) if self.other_is_conv else (conv,)
        ports = (Port("x", "x"), Port("r", "r"))
        return StagedProgram("model.onnx", ports, (Port("y", "conv"),), tuple(buffers), operators)

    @property
    def _map(self) -> IndexMap | None:
        return _shifted((self.batch, self.channels, self.height, self.width), self.offset)

    def second(self) -> Array:
        """What is added, in float64."""
        value = self.inputs["r"].astype(np.float64)
        if self.other_is_conv:
            around = self.other_kernel // 2
            value = _convolved(value, self.weights["other.weight"], self.output, padding=around)
        shifted = _shifted(self.output, self.other_offset)
        return value if shifted is None else shifted.apply([value])

    def convolved(self) -> Array:
        """What is added to, before any ReLU, in float64."""
        x = self.inputs["x"] if self._map is None else self._map.apply([self.inputs["x"]])
        window = {"stride": self.stride, "dilation": self.dilation, "padding": self.padding}
        sums = _convolved(x, self.weights["conv.weight"], self.output, **window)
        return sums + self.weights["conv.bias"][:, None, None]

    def exact(self) -> Array:
        """The output, in float64."""
        sums, second = self.convolved(), self.second()
        return np.maximum(sums, 0) + second if self.relu_first else np.maximum(sums + second, 0)

    def onnx(self) -> ModelProto:
        """Convolution, Add and ReLU of `x`, as it is convolved, and of `second`, which is added."""
        convolution = helper.make_node(
            "Conv",
            ["x", "conv.weight", "conv.bias"],
            ["c"],
            strides=[self.stride] * 2,
            pads=[self.padding] * 4,
            dilations=[self.dilation] * 2,
            group=self.groups,
        )
        first, second = ("Relu", "Add") if self.relu_first else ("Add", "Relu")
        steps = [
            helper.make_node(first, ["c"] if first == "Relu" else ["second", "c"], ["m"]),
            helper.make_node(second, ["m"] if second == "Relu" else ["m", "second"], ["y"]),
        ]
        shapes = {"x": (self.batch, self.channels, self.height, self.width), "second": self.output}
        graph = helper.make_graph(
            [convolution, *steps],
            "conv_add",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, self.output)],
            [numpy_helper.from_array(self.weights[n], n) for n in ("conv.weight", "conv.bias")],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def expected(self) -> Array:
        """The output, by onnxruntime."""
        x = self.inputs["x"] if self._map is None else self._map.apply([self.inputs["x"]])
        session = onnxruntime.InferenceSession(
            self.onnx().SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"x": x, "second": self.second().astype(np.float32)})[0]


def _convolved(
    x: Array, weight: Array, output: Shape, stride: int = 1, dilation: int = 1, padding: int = 0
) -> Array:
    """A convolution in float64; groups are as many as the weights say."""
    batch, outputs, rows, columns = output
    groups = x.shape[1] // weight.shape[1]
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    x = x.reshape(batch, groups, weight.shape[1], *x.shape[2:])
    weight = weight.reshape(groups, outputs // groups, *weight.shape[1:])
    sums = np.zeros((batch, groups, outputs // groups, rows, columns))
    for i, j in np.ndindex(*weight.shape[3:]):
        read = x[..., i * dilation :: stride, j * dilation :: stride][..., :rows, :columns]
        sums += np.einsum("ngchw,goc->ngohw", read, weight[..., i, j])
    return sums.reshape(output)


def _shifted(shape: Shape, offset: Offset) -> IndexMap | None:
    """out[n, c, h, w] = source[n, c, h + down, w + right] where that is inside, else 0."""
    if offset is None:
        return None
    (batch, channels, height, width), (down, right) = shape, offset
    start = (0, min(max(0, -down), height), min(max(0, -right), width))
    stop = (batch, max(start[1], height - max(0, down)), max(start[2], width - max(0, right)))
    pieces = (Piece(Box(start, stop), 0, c, (0, down, right)) for c in range(channels))
    return IndexMap((shape,), shape, tuple((p,) if p.box.volume else () for p in pieces))


def random_values(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def offsets() -> strategies.SearchStrategy[Offset]:
    """Shifts of less than any plane's size."""
    return strategies.none() | strategies.tuples(strategies.integers(-2, 2), strategies.integers(-2, 2))


CASES = strategies.builds(
    ConvAdd,
    height=strategies.integers(3, 15),
    width=strategies.integers(3, 9),
    channels=strategies.sampled_from([1, 2, 3, 4]),
    out_channels=strategies.sampled_from([1, 2, 5, 6]),
    kernel=strategies.integers(1, 7),
    stride=strategies.integers(1, 3),
    dilation=strategies.integers(1, 2),
    padding=strategies.integers(0, 3),
    groups=strategies.sampled_from([1, 1, 2]),
    batch=strategies.sampled_from([1, 1, 2]),
    relu_first=strategies.booleans(),
    other_is_conv=strategies.booleans(),
    other_kernel=strategies.sampled_from([1, 3]),
    offset=offsets(),
    other_offset=offsets(),
    lanes=strategies.sampled_from([1, 2, 4, 16]),
).filter(lambda case: case.is_possible)
