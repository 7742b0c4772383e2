"""Small staged programs, made without the compiler, and what onnxruntime computes for the same operators."""

from __future__ import annotations

import attrs
import numpy as np
import onnxruntime
from hypothesis import strategies
from onnx import TensorProto, helper, numpy_helper

from tvm_passes.index_map import Box, IndexMap, Piece
from tvm_passes.staged.program import Buffer, Operand, Operator, Port, PostOperation, StagedProgram

Array = np.ndarray


@attrs.frozen
class ConvAdd:
    """relu and add in either order behind a convolution of x; what is added is r, or a convolution of r.

    offset: rows and columns that x is shifted by, zeros following, before it is convolved; None: not at all.
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
    offset: tuple[int, int] | None = None

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
        return {"x": _random(x, 0), "r": _random(self.output, 1)}

    @property
    def weights(self) -> dict[str, Array]:
        weight = (self.out_channels, self.channels // self.groups, self.kernel, self.kernel)
        return {
            "conv.weight": _random(weight, 2),
            "conv.bias": _random((self.out_channels,), 3),
            "other.weight": _random((self.out_channels, self.out_channels, 1, 1), 4),
        }

    @property
    def program(self) -> StagedProgram:
        """Operators and buffers; `tile` makes its stages."""
        buffers = [
            *(Buffer(name, "input", value.shape) for name, value in self.inputs.items()),
            *(Buffer(name, "weight", value.shape) for name, value in self.weights.items()),
            *(Buffer(name, "plane", self.output) for name in ("other", "conv")),
        ]
        other = Operator("other", "convolution", ("other",), Operand(("r",)), "other", weight="other.weight")
        added = PostOperation("add", operand=Operand(("other" if self.other_is_conv else "r",)))
        behind = [PostOperation("relu"), added] if self.relu_first else [added, PostOperation("relu")]
        conv = Operator(
            name="conv",
            kind="convolution",
            nodes=("conv", "add", "relu"),
            operand=Operand(("x",), self._map),
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
        if self.offset is None:
            return None
        shape = (self.batch, self.channels, self.height, self.width)
        down, right = self.offset
        start = (0, max(0, -down), max(0, -right))
        box = Box(start, (self.batch, self.height - max(0, down), self.width - max(0, right)))
        return IndexMap(
            (shape,), shape, tuple((Piece(box, 0, c, (0, down, right)),) for c in range(self.channels))
        )

    def expected(self) -> Array:
        """The output, by onnxruntime."""
        x = self.inputs["x"] if self._map is None else self._map.apply([self.inputs["x"]])
        nodes = [
            helper.make_node(
                "Conv",
                ["x", "conv.weight", "conv.bias"],
                ["c"],
                strides=[self.stride] * 2,
                pads=[self.padding] * 4,
                dilations=[self.dilation] * 2,
                group=self.groups,
            )
        ]
        other = "r"
        if self.other_is_conv:
            nodes.append(helper.make_node("Conv", ["r", "other.weight"], ["o"]))
            other = "o"
        first, second = ("Relu", "Add") if self.relu_first else ("Add", "Relu")
        nodes.append(helper.make_node(first, ["c"] if first == "Relu" else [other, "c"], ["m"]))
        nodes.append(helper.make_node(second, ["m"] if second == "Relu" else ["m", other], ["y"]))
        inputs = {**self.inputs, "x": x}
        graph = helper.make_graph(
            nodes,
            "conv_add",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in inputs.items()],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, self.output)],
            [
                numpy_helper.from_array(v, n)
                for n, v in self.weights.items()
                if n != "other.weight" or other == "o"
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, inputs)[0]


def _random(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def offsets() -> strategies.SearchStrategy[tuple[int, int] | None]:
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
    offset=offsets(),
).filter(lambda case: case.is_possible)
