"""Tensors of narrow types become tensors of codes, which programs compute with: see `narrow_types`.

    Cast[float8](x)          →  Encode[float8](x)
    Cast[float](q)           →  Cast[float](Decode[float8](q))
    QuantizeLinear(x, s)     →  Quantize[float8](x, s)
    DequantizeLinear(q, s)   →  DequantizeLinear(Decode[float8](q), s)
    Transpose(q)             →  Transpose(q), of codes

What the graph becomes is for the importer alone: Encode, Decode and Quantize are operators of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from frontends.errors import OperatorImportError
from frontends.model_file import with_graph
from frontends.names import unique_name
from frontends.narrow_types import NARROW, NarrowType, codes_of
from frontends.value_types import value_types

DOMAIN = "shiftc.narrow"
"""Of Encode (attributes to, saturate, round_mode), Decode (of) and Quantize (those of QuantizeLinear)."""

_MOVING = frozenset(
    {
        *("Constant", "ConstantOfShape", "Flatten", "Identity", "Pad", "Reshape", "Shape", "Size", "Squeeze"),
        *("TensorScatter", "Transpose", "Unsqueeze"),
    }
)
"""They do the same to codes as to numbers. What Pad adds is zero, which is code zero; see `_can_move`."""
_DECIDING = frozenset({"IsInf", "IsNaN"})

Nodes = Iterator[onnx.NodeProto]


def carry_codes(model: onnx.ModelProto, file: str = "") -> onnx.ModelProto:
    """The model with codes in place of numbers of narrow types; as it is if it has none.

    model: static, its types inferred. Raises OperatorImportError for an operator that takes or makes numbers
    of such a type and does something else with them.
    """
    types = value_types(model.graph)
    if not NARROW.keys() & set(types.values()):
        return model
    return _Carrying(model, types, file).result()


class _Carrying:
    def __init__(self, model: onnx.ModelProto, types: Mapping[str, int], file: str) -> None:
        self.model, self.types, self.file = model, types, file
        self.taken = set(types) | {name for node in model.graph.node for name in (*node.input, *node.output)}

    def result(self) -> onnx.ModelProto:
        graph = self.model.graph
        carried = onnx.GraphProto(name=graph.name)
        for node in graph.node:
            carried.node.extend(self._carried(node))
        carried.initializer.extend(map(_in_codes, graph.initializer))
        for of, to in (
            (graph.input, carried.input),
            (graph.output, carried.output),
            (graph.value_info, carried.value_info),
        ):
            for value in of:
                copy = to.add()
                copy.CopyFrom(value)
                if value.type.tensor_type.elem_type in NARROW:
                    copy.type.tensor_type.elem_type = TensorProto.UINT8
        return with_graph(self.model, carried)

    def _narrow(self, name: str) -> NarrowType | None:
        return NARROW.get(self.types.get(name, 0))

    def _carried(self, node: onnx.NodeProto) -> Nodes:
        """The nodes in place of one."""
        kinds = {kind for name in (*node.input, *node.output) if (kind := self._narrow(name)) is not None}
        if not kinds:
            yield node
        elif node.op_type in _MOVING and all(_can_move(node, kind) for kind in kinds):
            yield _copied(node, [*node.input])
        elif node.op_type in _WRITERS:
            yield from _WRITERS[node.op_type](self, node)
        else:
            names = " and ".join(sorted(kind.name for kind in kinds))
            reason = f"it is of {names}: cast to float32 before it, and back behind it"
            message = f"{node.op_type} cannot be imported: {reason}"
            raise OperatorImportError(message, file=self.file, node=node.name)

    def numbers(self, node: onnx.NodeProto, source: str) -> tuple[list[onnx.NodeProto], str]:
        """Nodes that make the numbers of `source`, for `node`, and their name."""
        kind = self._narrow(source)
        if kind is None:
            return [], source
        decoded = unique_name(f"{source}_numbers", self.taken)
        return [_private("Decode", [source], [decoded], node.name, of=kind.kind)], decoded

    def decoded(self, node: onnx.NodeProto, target: int | None = None) -> Nodes:
        """The node, of numbers. target: it is a cast, to this type."""
        inputs = []
        for source in node.input[: len(node.input) if target is None else 1]:
            nodes, name = self.numbers(node, source)
            yield from nodes
            inputs.append(name)
        if target is None:
            yield _copied(node, inputs)
        elif target in NARROW:
            stated = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name != "to"}
            yield _private("Encode", inputs, node.output, node.name, to=target, **stated)
        else:
            yield helper.make_node("Cast", inputs, node.output, name=node.name, to=target)


def _cast(carrying: _Carrying, node: onnx.NodeProto) -> Nodes:
    to = next((int(a.i) for a in node.attribute if a.name == "to"), 0)
    return carrying.decoded(node, to)


def _cast_like(carrying: _Carrying, node: onnx.NodeProto) -> Nodes:
    return carrying.decoded(node, carrying.types[node.output[0]])


def _quantize(carrying: _Carrying, node: onnx.NodeProto) -> Nodes:
    *before, quantize = carrying.decoded(node)
    yield from before
    target = carrying.types[node.output[0]]
    if target in NARROW:
        quantize.domain, quantize.op_type = DOMAIN, "Quantize"
        del quantize.attribute[:]
        quantize.attribute.extend(a for a in node.attribute if a.name != "output_dtype")
        quantize.attribute.append(helper.make_attribute("output_dtype", target))
    yield quantize


def _bit_cast(carrying: _Carrying, node: onnx.NodeProto) -> Nodes:
    """Between types of as many bits, of which ONNX's inference makes sure: codes are their own bits."""
    target = carrying.types[node.output[0]]
    to = TensorProto.UINT8 if target in NARROW else target
    yield helper.make_node("BitCast", node.input, node.output, name=node.name, to=to)


_WRITERS: Mapping[str, Callable[[_Carrying, onnx.NodeProto], Nodes]] = {
    "BitCast": _bit_cast,
    "Cast": _cast,
    "CastLike": _cast_like,
    "DequantizeLinear": _Carrying.decoded,
    "QuantizeLinear": _quantize,
    **dict.fromkeys(_DECIDING, _Carrying.decoded),
}


def _can_move(node: onnx.NodeProto, kind: NarrowType) -> bool:
    """Only float8_e8m0fnu has no zero, which Pad would add where it is not told what."""
    return node.op_type != "Pad" or not kind.is_exponent


def _copied(node: onnx.NodeProto, inputs: list[str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = inputs
    for attribute in copy.attribute:
        if attribute.type == AttributeProto.TENSOR:
            attribute.t.CopyFrom(_in_codes(attribute.t))
    return copy


def _private(
    operator: str, inputs: list[str], outputs: object, name: str, **attributes: object
) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, outputs, name=name, domain=DOMAIN, **attributes)


def _in_codes(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_type not in NARROW:
        return tensor
    return numpy_helper.from_array(codes_of(numpy_helper.to_array(tensor)), tensor.name)
