"""Collects the nodes and initializers of an ONNX graph and gives them names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shiftc.zoo.tensor import Statistics, Tensor

OPSET = 17
IR_VERSION = 8


class GraphWriter:
    """A graph with one input, `input`, of static shape [batch, channels, rows, columns]."""

    def __init__(self, name: str, input_shape: Sequence[int]) -> None:
        self.input = Tensor("input", tuple(input_shape), Statistics.standard(input_shape[1]))
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._count: Counter[str] = Counter()

    def new_name(self, kind: str) -> str:
        """`kind` and a number not used before."""
        self._count[kind] += 1
        return f"{kind}_{self._count[kind] - 1}"

    def initializer(self, name: str, value: NDArray[Any]) -> str:
        """Stores a constant; returns its name."""
        self._initializers.append(numpy_helper.from_array(value, name))
        return name

    def indices(self, name: str, values: Sequence[int]) -> str:
        """Stores an int64 vector; returns its name."""
        return self.initializer(name, np.array(values, np.int64))

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        statistics: Statistics,
        *,
        name: str | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Appends an operator with one output; `name` defaults to a new one."""
        name = name or self.new_name(operator)
        output = Tensor(f"{name}_output_0", tuple(shape), statistics)
        self._nodes.append(helper.make_node(operator, list(inputs), [output.name], name=name, **attributes))
        return output

    def split_node(self, x: Tensor, sizes: Sequence[int]) -> list[str]:
        """Appends a Split of the channels into `sizes`; returns the outputs' names."""
        name = self.new_name("Split")
        outputs = [f"{name}_output_{i}" for i in range(len(sizes))]
        inputs = [x.name, self.indices(f"{name}.split", sizes)]
        self._nodes.append(helper.make_node("Split", inputs, outputs, name=name, axis=1))
        return outputs

    def model(self, output: Tensor) -> onnx.ModelProto:
        """The finished model; its output, `output`, is the last node's result."""
        last = self._nodes[-1]
        last.output[0] = "output"
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.input.shape)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
            self._initializers,
        )
        opset = helper.make_operatorsetid("", OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="shiftc.zoo"
        )
