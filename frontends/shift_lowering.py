"""Write shift operators in ordinary ONNX operators.

    y[n, c, h, w] = x[n, c, h + dy(c), w + dx(c)],    0 where that lies outside x

becomes what runtimes already execute and later passes recognise by evaluating it:

    Identity                 where no channel moves;
    Conv                     depthwise with one-hot kernels, where the offsets are taps of a dilated kernel
                             of at most 7 x 7: kernel[c, 0, dy(c)/step + reach, dx(c)/step + reach] = 1;
    Pad, Slice …, Concat     otherwise: one Slice for each run of channels that move alike.

Runs before the checker's, converter's and simplifier's shape inference has to know the custom domain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from frontends.errors import ShiftOperatorError
from frontends.model_file import standard_opset
from frontends.names import unique_name
from frontends.shift_operator import DEFAULT_OPERATORS, Offsets, OperatorName, node_offsets

LARGEST_REACH = 3
"""Taps on either side of the centre of a one-hot kernel: at most 7 x 7."""

_CONV_TYPES = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})
_TO_THE_END = np.iinfo(np.int64).max
_FIRST_SLICE_WITH_INPUTS = 10
_FIRST_PAD_WITH_INPUTS = 11


def lower_shift_operators(
    model: onnx.ModelProto, operators: Collection[OperatorName] = DEFAULT_OPERATORS, file: str = ""
) -> onnx.ModelProto:
    """A model without shift operators that computes the same; `model` itself if it has none.

    Nodes must have unique names. The last node written for a shift keeps its name; the others', and new
    values', begin with it. Raises ShiftOperatorError.
    """
    if not any(_is_shift(node, operators) for node in model.graph.node):
        return model
    types = _value_types(model, operators)
    constants = _constants(model.graph)
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    del lowered.graph.node[:]
    writer = _Writer(lowered.graph, standard_opset(model), _value_names(model.graph))
    for node in model.graph.node:
        if _is_shift(node, operators):
            channels, elem_type = _channels_and_type(node, types, file)
            writer.shift(node, node_offsets(node, channels, constants, file), elem_type)
        else:
            lowered.graph.node.append(node)
    return lowered


def _is_shift(node: onnx.NodeProto, operators: Collection[OperatorName]) -> bool:
    return (node.domain, node.op_type) in operators


def _value_types(
    model: onnx.ModelProto, operators: Collection[OperatorName]
) -> dict[str, onnx.TypeProto.Tensor]:
    """Inferred tensor types. A shift keeps its input's type, so Identity stands in for it."""
    stand_in = onnx.ModelProto()
    stand_in.CopyFrom(model)
    for node in stand_in.graph.node:
        if _is_shift(node, operators):
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
            del node.input[1:]
    graph = onnx.shape_inference.infer_shapes(stand_in, data_prop=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name: value.type.tensor_type for value in values if value.type.tensor_type.elem_type}


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], entry.t) for entry in node.attribute if entry.name == "value")
    return constants


def _value_names(graph: onnx.GraphProto) -> set[str]:
    declared = {value.name for value in [*graph.input, *graph.initializer]}
    return declared.union(*(node.output for node in graph.node))


def _channels_and_type(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto.Tensor], file: str
) -> tuple[int, int]:
    kind = types.get(node.input[0]) if node.input else None
    if kind is None or not kind.HasField("shape"):
        raise ShiftOperatorError("the shape of its input cannot be inferred", file=file, node=node.name)
    if len(kind.shape.dim) != 4 or not kind.shape.dim[1].HasField("dim_value"):
        raise ShiftOperatorError("its input is not [N,C,H,W] with a fixed C", file=file, node=node.name)
    return kind.shape.dim[1].dim_value, kind.elem_type


class _Taps:
    """Offsets as taps of a dilated kernel: offset = step · tap, |tap| ≤ reach, for rows and columns."""

    def __init__(self, offsets: Offsets) -> None:
        self.step = np.maximum(np.gcd.reduce(offsets, axis=0), 1)
        self.taps = offsets // self.step
        self.reach = np.abs(self.taps).max(axis=0)

    def one_hot_kernel(self) -> NDArray[np.float64]:
        """[C, 1, 2·reach + 1, 2·reach + 1], a single 1 per channel."""
        rows, columns = 2 * self.reach + 1
        kernel = np.zeros((len(self.taps), 1, rows, columns))
        hot = self.taps + self.reach
        kernel[np.arange(len(hot)), 0, hot[:, 0], hot[:, 1]] = 1
        return kernel


class _Writer:
    """Appends nodes and constants to a graph, in the form its opset asks for."""

    def __init__(self, graph: onnx.GraphProto, opset: int, taken: set[str]) -> None:
        self.graph = graph
        self.opset = opset
        self.taken = taken

    def shift(self, node: onnx.NodeProto, offsets: Offsets, elem_type: int) -> None:
        taps = _Taps(offsets)
        if not offsets.any():
            self._node("Identity", node.input[:1], node.output[0], node.name)
        elif taps.reach.max() <= LARGEST_REACH and elem_type in _CONV_TYPES:
            self._depthwise(node, taps, elem_type)
        else:
            self._slices(node, offsets, elem_type)

    def _depthwise(self, node: onnx.NodeProto, taps: _Taps, elem_type: int) -> None:
        kernel = taps.one_hot_kernel().astype(helper.tensor_dtype_to_np_dtype(elem_type))
        weight = self._constant(f"{node.name}_one_hot", kernel)
        self._node(
            "Conv",
            [node.input[0], weight],
            node.output[0],
            node.name,
            group=kernel.shape[0],
            kernel_shape=kernel.shape[2:],
            pads=(taps.reach * taps.step).tolist() * 2,
            dilations=taps.step.tolist(),
        )

    def _slices(self, node: onnx.NodeProto, offsets: Offsets, elem_type: int) -> None:
        before, after = np.maximum(-offsets.min(axis=0), 0), np.maximum(offsets.max(axis=0), 0)
        padded = self._value(f"{node.name}_padded")
        self._pad(node.input[0], padded, [0, 0, *before.tolist(), 0, 0, *after.tolist()], elem_type)
        changes = np.flatnonzero((offsets[1:] != offsets[:-1]).any(axis=1)) + 1
        parts = []
        for first, last in pairwise([0, *changes.tolist(), len(offsets)]):
            starts = before + offsets[first]
            ends = [end or _TO_THE_END for end in (offsets[first] - after).tolist()]  # from the back
            parts.append(self._value(f"{node.name}_part"))
            self._slice(padded, parts[-1], [first, *starts.tolist()], [last, *ends])
        self._node("Concat", parts, node.output[0], node.name, axis=1)

    def _pad(self, source: str, output: str, pads: list[int], elem_type: int) -> None:
        if self.opset < _FIRST_PAD_WITH_INPUTS:
            self._node("Pad", [source], output, output, pads=pads)
            return
        zero = np.zeros((), helper.tensor_dtype_to_np_dtype(elem_type))
        widths = self._constant(f"{output}_widths", np.array(pads, np.int64))
        self._node("Pad", [source, widths, self._constant(f"{output}_value", zero)], output, output)

    def _slice(self, source: str, output: str, starts: list[int], ends: list[int]) -> None:
        arguments = {"starts": starts, "ends": ends, "axes": [1, 2, 3]}
        if self.opset < _FIRST_SLICE_WITH_INPUTS:
            self._node("Slice", [source], output, output, **arguments)
            return
        constants = [
            self._constant(f"{output}_{name}", np.array(numbers, np.int64))
            for name, numbers in arguments.items()
        ]
        self._node("Slice", [source, *constants], output, output)

    def _node(
        self, operator: str, inputs: Collection[str], output: str, name: str, **attributes: object
    ) -> None:
        self.graph.node.append(helper.make_node(operator, inputs, [output], name, **attributes))

    def _constant(self, stem: str, values: NDArray[np.generic]) -> str:
        name = self._value(stem)
        self.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def _value(self, stem: str) -> str:
        return unique_name(stem, self.taken)
