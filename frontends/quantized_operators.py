"""Operators on quantized tensors as what they stand for: dequantize, compute, quantize.

    QLinearConv(x, w)  =  QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(w)))

Sums are then of float32 products and not of integers: where a sum lies within rounding of a half, results
differ from those of integer kernels by one quantum. ConvInteger and MatMulInteger, whose results are sums,
are exact. The networks that `quantize_static` of onnxruntime writes have both forms, and operators of
com.microsoft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import onnx
from onnx import helper

from frontends.names import unique_name
from frontends.standard_domain import STANDARD_DOMAIN

_CONTRIB = "com.microsoft"


@attrs.define
class _Writer:
    """Writes the nodes in place of one."""

    node: onnx.NodeProto
    taken: set[str]
    nodes: list[onnx.NodeProto] = attrs.field(factory=list)

    def input(self, index: int) -> str:
        """The name of an input, "" where it is left out."""
        return self.node.input[index] if index < len(self.node.input) else ""

    def add(self, operator: str, inputs: Sequence[str], result: str = "", **attributes: object) -> str:
        """A node more; the name of its result."""
        result = result or unique_name(f"{self.node.output[0]}/{operator}", self.taken)
        inputs = list(inputs)
        while inputs and not inputs[-1]:
            inputs.pop()
        node = helper.make_node(operator, inputs, [result], name=f"{self.node.name}/{operator}", **attributes)
        self.nodes.append(node)
        return result

    def dequantized(self, value: int, scale: int, zero_point: int, axis: int = 1) -> str:
        """Three inputs by their positions as one float32 tensor."""
        inputs = [self.input(index) for index in (value, scale, zero_point)]
        return self.add("DequantizeLinear", inputs, axis=axis)

    def quantize(self, value: str, scale: int, zero_point: int) -> None:
        """The result: `value`, quantized by two inputs."""
        inputs = [value, self.input(scale), self.input(zero_point)]
        self.add("QuantizeLinear", inputs, self.node.output[0])

    def keep_attributes(self, *left_out: str) -> None:
        """Gives the last node the attributes of the one it stands for."""
        self.nodes[-1].attribute.extend(a for a in self.node.attribute if a.name not in left_out)


def write_out_quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replaces the operators of this module in the model's graph, in place; returns it."""
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    taken |= {value.name for value in (*model.graph.input, *model.graph.initializer)}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        write = _WRITERS.get((node.domain, node.op_type))
        if write is None:
            nodes.append(node)
            continue
        writer = _Writer(node, taken)
        write(writer)
        nodes += writer.nodes
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def is_quantized_operator(node: onnx.NodeProto) -> bool:
    """Whether `write_out_quantized` takes the node."""
    return (node.domain, node.op_type) in _WRITERS


def _convolution(writer: _Writer) -> None:
    x, w = writer.dequantized(0, 1, 2), writer.dequantized(3, 4, 5, axis=0)
    inputs = [x, w]
    if bias := writer.input(8):
        scale = writer.add("Mul", [writer.input(1), writer.input(4)])
        inputs.append(writer.add("DequantizeLinear", [bias, scale], axis=0))
    result = writer.add("Conv", inputs)
    writer.keep_attributes()
    writer.quantize(result, 6, 7)


def _product(writer: _Writer) -> None:
    # Scales of several rows of the first operand, or columns of the second, lie along its last dimensions.
    a, b = writer.dequantized(0, 1, 2, axis=-2), writer.dequantized(3, 4, 5, axis=-1)
    writer.quantize(writer.add("MatMul", [a, b]), 6, 7)


def _gemm(writer: _Writer) -> None:
    transposed = any(a.name == "transB" and a.i for a in writer.node.attribute)
    inputs = [writer.dequantized(0, 1, 2), writer.dequantized(3, 4, 5, axis=0 if transposed else 1)]
    if bias := writer.input(6):
        scale = writer.add("Mul", [writer.input(1), writer.input(4)])
        inputs.append(writer.add("DequantizeLinear", [bias, scale], axis=0))
    if not writer.input(7):  # the result is a float
        writer.add("Gemm", inputs, writer.node.output[0])
        writer.keep_attributes()
        return
    result = writer.add("Gemm", inputs)
    writer.keep_attributes()
    writer.quantize(result, 7, 8)


def _binary(operator: str) -> Callable[[_Writer], None]:
    def write(writer: _Writer) -> None:
        operands = [writer.dequantized(0, 1, 2), writer.dequantized(3, 4, 5)]
        writer.quantize(writer.add(operator, operands), 6, 7)

    return write


def _unary(operator: str) -> Callable[[_Writer], None]:
    def write(writer: _Writer) -> None:
        result = writer.add(operator, [writer.dequantized(0, 1, 2)])
        writer.keep_attributes("channels_last")
        writer.quantize(result, 3, 4)

    return write


def _pool(operator: str) -> Callable[[_Writer], None]:
    """A pool over planes, whose channels may stand last."""
    pool = _unary(operator)

    def write(writer: _Writer) -> None:
        if any(a.name == "channels_last" and a.i for a in writer.node.attribute):
            writer.nodes.append(writer.node)  # refused by name
            return
        pool(writer)

    return write


def _concatenation(writer: _Writer) -> None:
    parts = [writer.dequantized(i, i + 1, i + 2) for i in range(2, len(writer.node.input), 3)]
    result = writer.add("Concat", parts)
    writer.keep_attributes()
    writer.quantize(result, 0, 1)


def _standard(writer: _Writer) -> None:
    """The same operator of ONNX's own domain."""
    writer.add(writer.node.op_type, writer.node.input, writer.node.output[0])
    writer.keep_attributes()


_WRITERS: Mapping[tuple[str, str], Callable[[_Writer], None]] = {
    (STANDARD_DOMAIN, "QLinearConv"): _convolution,
    (STANDARD_DOMAIN, "QLinearMatMul"): _product,
    (_CONTRIB, "DequantizeLinear"): _standard,
    (_CONTRIB, "QGemm"): _gemm,
    (_CONTRIB, "QLinearAdd"): _binary("Add"),
    (_CONTRIB, "QLinearAveragePool"): _pool("AveragePool"),
    (_CONTRIB, "QLinearConcat"): _concatenation,
    (_CONTRIB, "QLinearGlobalAveragePool"): _pool("GlobalAveragePool"),
    (_CONTRIB, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (_CONTRIB, "QLinearMul"): _binary("Mul"),
    (_CONTRIB, "QLinearSigmoid"): _unary("Sigmoid"),
    (_CONTRIB, "QuantizeLinear"): _standard,
}
