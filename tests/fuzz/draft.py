"""A random ONNX graph while it is drawn: nodes, weights, and values whose shapes are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz.choices import Choices, pick

OPSET = 19
LARGEST = 1 << 14
"""Elements of a tensor: more only takes time."""


@attrs.frozen
class Value:
    """A float32 tensor of the graph."""

    name: str
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@attrs.define
class Draft:
    """What has been drawn so far.

    choices: decides what comes next; weights are random numbers of a generator that it seeds.
    """

    choices: Choices
    inputs: list[Value] = attrs.field(factory=list)
    values: list[Value] = attrs.field(factory=list)
    nodes: list[onnx.NodeProto] = attrs.field(factory=list)
    initializers: list[onnx.TensorProto] = attrs.field(factory=list)
    random: np.random.Generator = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = np.random.default_rng(self.choices.number(0, 1 << 16))

    def new_input(self, shape: Sequence[int]) -> Value:
        """An input of the graph."""
        value = Value(f"x{len(self.inputs)}", tuple(shape))
        self.inputs.append(value)
        self.values.append(value)
        return value

    def constant(self, array: Any, dtype: str = "float32") -> str:
        """The name of a constant."""
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def integers(self, numbers: Iterable[int]) -> str:
        """The name of a constant of int64 numbers."""
        return self.constant(list(numbers), "int64")

    def floats(self, *shape: int, scale: float = 1.0) -> str:
        """The name of a constant of normal numbers."""
        return self.constant(self.random.standard_normal(shape) * scale)

    def node(
        self, operator: str, inputs: Sequence[Value | str], *shapes: Sequence[int], **attributes: Any
    ) -> list[Value]:
        """The results of a new node, one for each shape."""
        outputs = [f"v{len(self.nodes)}_{i}" for i in range(len(shapes))]
        names = [source if isinstance(source, str) else source.name for source in inputs]
        self.nodes.append(
            helper.make_node(operator, names, outputs, name=f"n{len(self.nodes)}", **attributes)
        )
        return [Value(name, tuple(map(int, shape))) for name, shape in zip(outputs, shapes, strict=True)]

    def one(
        self, operator: str, inputs: Sequence[Value | str], shape: Sequence[int], **attributes: Any
    ) -> Value:
        """The result of a new node that has one."""
        return self.node(operator, inputs, shape, **attributes)[0]

    def reshaped(self, value: Value, *shape: int) -> Value:
        """The elements in another shape."""
        return self.one("Reshape", [value, self.integers(shape)], shape)

    def axis(self, value: Value) -> int:
        """One of its axes."""
        return self.choices.number(0, value.rank - 1)

    def like(self, value: Value) -> Value:
        """A value of the same shape: the value itself where there is no other."""
        return pick(self.choices, [v for v in self.values if v.shape == value.shape] or [value])

    def model(self, outputs: Sequence[Value]) -> onnx.ModelProto:
        """The graph as a model."""

        def info(value: Value) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, value.shape)

        read = {name for node in self.nodes for name in node.input}
        inputs = [value for value in self.inputs if value.name in read]
        graph = helper.make_graph(
            self.nodes, "fuzz", list(map(info, inputs)), list(map(info, outputs)), self.initializers
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
