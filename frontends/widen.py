"""Networks in half precision are computed in single precision, between casts at their edges.

    float16 → … float16 operators … → float16    becomes    Cast → … float32 operators … → Cast

Weights are widened here, once. Every result is at least as exact as in half precision: what a network
computes in float16 from its inputs to its outputs is rounded once, at the end, and sums of products never on
the way. A cast that a model itself makes from another type to a half one does round, since what it changes
may be meant: float32 → float16 → float32 stays what it is. bfloat16 likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from frontends.model_file import with_graph
from frontends.names import unique_name
from frontends.value_types import value_types

HALVES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})

_TYPE_ATTRIBUTES = frozenset({"dtype", "output_dtype", "softmax_precision"})
"""Attributes that name the type of a result; `Cast`'s own is not among them."""


def widen_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with float32 in place of float16 and bfloat16 everywhere but in its inputs and outputs.

    model: static, its types inferred; returned as it is if it has none of these types.
    """
    types = value_types(model.graph)
    if not HALVES & set(types.values()):
        return model
    return _Widening(model, types).result()


class _Widening:
    def __init__(self, model: onnx.ModelProto, types: Mapping[str, int]) -> None:
        self.model, self.types = model, types
        self.taken = set(types) | {name for node in model.graph.node for name in (*node.input, *node.output)}
        edges = [value.name for value in (*model.graph.input, *model.graph.output)]
        self.wide = {
            name: self._new(f"{name}_float32") for name in dict.fromkeys(edges) if self._is_half(name)
        }

    def result(self) -> onnx.ModelProto:
        graph = self.model.graph
        inputs = {value.name for value in graph.input}
        nodes = [_cast(name, self.wide[name], TensorProto.FLOAT) for name in inputs if name in self.wide]
        for node in graph.node:
            nodes += self._widened(node)
        nodes += [
            _cast(self.wide[value.name], value.name, self.types[value.name])
            for value in graph.output
            if value.name in self.wide and value.name not in inputs
        ]
        initializers = (_widened_tensor(tensor, self._renamed(tensor.name)) for tensor in graph.initializer)
        widened = helper.make_graph(nodes, graph.name, graph.input, graph.output, initializers)
        return with_graph(self.model, widened)

    def _is_half(self, name: str) -> bool:
        return self.types.get(name) in HALVES

    def _new(self, stem: str) -> str:
        return unique_name(stem, self.taken)

    def _renamed(self, name: str) -> str:
        return self.wide.get(name, name)

    def _widened(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes in place of one."""
        target = self._cast_to(node)
        source, result = self._renamed(node.input[0]) if node.input else "", self._renamed(node.output[0])
        if target in HALVES and self.types.get(node.input[0]) != target:
            rounded = self._new(f"{node.output[0]}_rounded")
            yield helper.make_node("Cast", [source], [rounded], name=node.name, to=target)
            yield helper.make_node("Cast", [rounded], [result], name=node.name, to=TensorProto.FLOAT)
        elif target in HALVES or (target == TensorProto.FLOAT and self._is_half(node.input[0])):
            yield helper.make_node("Identity", [source], [result], name=node.name)
        else:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = map(self._renamed, node.input)
            copy.output[:] = map(self._renamed, node.output)
            for attribute in copy.attribute:
                _widen_attribute(attribute)
            yield copy

    def _cast_to(self, node: onnx.NodeProto) -> int | None:
        """The type that a cast makes; None for other nodes."""
        if node.op_type == "Cast":
            return next((int(a.i) for a in node.attribute if a.name == "to"), None)
        return self.types.get(node.input[1]) if node.op_type == "CastLike" else None


def _cast(source: str, result: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [result], name=f"cast of {min(source, result, key=len)}", to=to)


def _widened_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    if tensor.data_type not in HALVES:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name)


def _widen_attribute(attribute: onnx.AttributeProto) -> None:
    if attribute.type == AttributeProto.TENSOR:
        attribute.t.CopyFrom(_widened_tensor(attribute.t, attribute.t.name))
    elif attribute.name in _TYPE_ATTRIBUTES and attribute.i in HALVES:
        attribute.i = TensorProto.FLOAT
