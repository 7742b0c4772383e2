"""The shift operator: read as a custom ONNX operator, written back in ordinary ones.

`Shift` (Wu et al., "Shift: a zero FLOP, zero parameter alternative to spatial convolutions", CVPR 2018)
moves every channel's plane by an offset of its own:

    y[n, c, h, w] = x[n, c, h + dy(c), w + dx(c)],    0 where that lies outside x

ONNX has no such operator, so models carry it under a custom domain. Accepted is `shiftc::Shift`, and
whatever other (domain, operator) names the caller lists, such as the name an autograd function with a
CUDA kernel was exported under. x is [N, C, H, W]. The offsets come in one of two forms.

Explicitly, as a constant second input `offsets`, int64 [C, 2], row c = (dy(c), dx(c)).

Or by attributes, with k = kernel_size (int, odd), d = dilation (int, default 1), r = k // 2:

    layout = "grouped"   the paper's: k*k contiguous groups of C // k² channels, displacements in row-major
                         order: group g moves by dy = d·(g // k − r), dx = d·(g mod k − r);
    layout = "modulo"    the public CUDA kernel's, interleaved: for c < (C // k²)·k²
                         dy = d·((c // k) mod k − r), dx = d·(c mod k − r);

channels left over stay where they are. Without a `layout`, `shiftc::Shift` is grouped; a listed foreign
operator is modulo, since the kernel such an export comes from is.

Lowered, before anything that does not know the domain runs, to what runtimes already execute: nothing
where no channel moves, a one-hot depthwise Conv where the offsets are taps of a dilated kernel of at
most 7×7, else Pad, one Slice per run of channels that move alike, and Concat.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from frontends.errors import ShiftOperatorError
from frontends.model_file import standard_opset
from frontends.names import unique_name

OperatorName = tuple[str, str]
Layout = Literal["grouped", "modulo"]
Offsets = NDArray[np.int64]

DOMAIN = "shiftc"
DEFAULT_OPERATORS: tuple[OperatorName, ...] = ((DOMAIN, "Shift"),)
LARGEST_REACH = 3
"""Taps on either side of the centre of a one-hot kernel: 7×7 at most."""

_CONV_TYPES = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})


def shift_offsets(channels: int, kernel_size: int, dilation: int, layout: Layout) -> Offsets:
    """[channels, 2] int64 (dy, dx) of each channel, as the module's docstring defines them."""
    offsets = np.zeros((channels, 2), np.int64)
    per_group = channels // kernel_size**2
    moved = np.arange(per_group * kernel_size**2)
    if not len(moved):
        return offsets
    displacement = moved // per_group if layout == "grouped" else moved % kernel_size**2
    offsets[moved, 0] = dilation * (displacement // kernel_size - kernel_size // 2)
    offsets[moved, 1] = dilation * (displacement % kernel_size - kernel_size // 2)
    return offsets


def lower_shift_operators(
    model: onnx.ModelProto, operators: Collection[OperatorName] = DEFAULT_OPERATORS, file: str = ""
) -> onnx.ModelProto:
    """A model without shift operators that computes the same; `model` itself if it has none.

    Raises ShiftOperatorError.
    """
    names = set(operators)
    if not any(_is_shift(node, names) for node in model.graph.node):
        return model
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    types = _value_types(model, names)
    constants = _constants(model.graph)
    del lowered.graph.node[:]
    writer = _Writer(lowered.graph, standard_opset(model), {t.name for t in model.graph.initializer} | set(types))
    for node in model.graph.node:
        if not _is_shift(node, names):
            lowered.graph.node.append(node)
            continue
        channels, elem_type = _channels_and_type(node, types, file)
        offsets = _node_offsets(node, channels, constants, file)
        writer.shift(node, offsets, elem_type)
    _drop_domains(lowered, {domain for domain, _ in names})
    return lowered


def _is_shift(node: onnx.NodeProto, names: Collection[OperatorName]) -> bool:
    return (node.domain, node.op_type) in names


def _value_types(model: onnx.ModelProto, names: Collection[OperatorName]) -> dict[str, onnx.TypeProto.Tensor]:
    """Inferred tensor types. A shift keeps its input's type, so Identity stands in for it."""
    stand_in = onnx.ModelProto()
    stand_in.CopyFrom(model)
    for node in stand_in.graph.node:
        if _is_shift(node, names):
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
            del node.input[1:]
    graph = onnx.shape_inference.infer_shapes(stand_in, data_prop=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    types = {value.name: value.type.tensor_type for value in values}
    return {name: kind for name, kind in types.items() if kind.elem_type}


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update({node.output[0]: entry.t for entry in node.attribute if entry.name == "value"})
    return constants


def _channels_and_type(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto.Tensor], file: str
) -> tuple[int, int]:
    kind = types.get(node.input[0]) if node.input else None
    if kind is None or not kind.HasField("shape"):
        raise ShiftOperatorError("the shape of its input cannot be inferred", file=file, node=node.name)
    if len(kind.shape.dim) != 4 or not kind.shape.dim[1].HasField("dim_value"):
        raise ShiftOperatorError("its input is not [N,C,H,W] with a fixed C", file=file, node=node.name)
    return kind.shape.dim[1].dim_value, kind.elem_type


def _node_offsets(
    node: onnx.NodeProto, channels: int, constants: Mapping[str, onnx.TensorProto], file: str
) -> Offsets:
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if len(node.input) > 1 and node.input[1]:
        if "kernel_size" in attributes:
            raise ShiftOperatorError("has both offsets and a kernel_size", file=file, node=node.name)
        return _explicit_offsets(node, channels, constants, file)
    kernel_size, dilation = attributes.get("kernel_size"), attributes.get("dilation", 1)
    default = b"grouped" if node.domain == DOMAIN else b"modulo"
    layout = attributes.get("layout", default)
    if not isinstance(kernel_size, int) or kernel_size < 1 or kernel_size % 2 == 0:
        raise ShiftOperatorError(
            f"needs an odd kernel_size, or a second input with offsets; its kernel_size is {kernel_size}",
            file=file, node=node.name,
        )
    if not isinstance(dilation, int) or dilation < 1:
        raise ShiftOperatorError(f"its dilation is {dilation}, not a positive number", file=file, node=node.name)
    if layout == b"grouped":
        return shift_offsets(channels, kernel_size, dilation, "grouped")
    if layout == b"modulo":
        return shift_offsets(channels, kernel_size, dilation, "modulo")
    raise ShiftOperatorError(f"its layout is {layout!r}, not 'grouped' or 'modulo'", file=file, node=node.name)


def _explicit_offsets(
    node: onnx.NodeProto, channels: int, constants: Mapping[str, onnx.TensorProto], file: str
) -> Offsets:
    tensor = constants.get(node.input[1])
    if tensor is None:
        raise ShiftOperatorError(f"its offsets '{node.input[1]}' are not constant", file=file, node=node.name)
    offsets = numpy_helper.to_array(tensor)
    if offsets.shape != (channels, 2) or offsets.dtype != np.int64:
        raise ShiftOperatorError(
            f"its offsets are {offsets.dtype} {list(offsets.shape)}, not int64 [{channels}, 2]",
            file=file, node=node.name,
        )
    return offsets


class _Writer:
    """Appends nodes and constants to a graph, in the form its opset asks for."""

    def __init__(self, graph: onnx.GraphProto, opset: int, taken: set[str]) -> None:
        self.graph = graph
        self.opset = opset
        self.taken = taken

    def shift(self, node: onnx.NodeProto, offsets: Offsets, elem_type: int) -> None:
        taps = _Taps(offsets)
        if not offsets.any():
            self.graph.node.append(helper.make_node("Identity", node.input[:1], node.output, node.name))
        elif taps.fit and elem_type in _CONV_TYPES:
            self._depthwise(node, taps, elem_type)
        else:
            self._slices(node, offsets, elem_type)

    def _depthwise(self, node: onnx.NodeProto, taps: _Taps, elem_type: int) -> None:
        kernel = taps.one_hot_kernel().astype(helper.tensor_dtype_to_np_dtype(elem_type))
        weight = self._constant(f"{node.name}_one_hot", kernel)
        pads = [int(reach * step) for reach, step in zip(taps.reach, taps.step, strict=True)]
        self.graph.node.append(
            helper.make_node(
                "Conv", [node.input[0], weight], node.output, node.name,
                group=kernel.shape[0], kernel_shape=kernel.shape[2:], pads=pads * 2, dilations=taps.step.tolist(),
            )
        )

    def _slices(self, node: onnx.NodeProto, offsets: Offsets, elem_type: int) -> None:
        before, after = np.maximum(-offsets.min(axis=0), 0), np.maximum(offsets.max(axis=0), 0)
        padded, parts = self._value(f"{node.name}_padded"), []
        self._pad(node, padded, [0, 0, *before.tolist(), 0, 0, *after.tolist()], elem_type)
        changes = np.flatnonzero((offsets[1:] != offsets[:-1]).any(axis=1)) + 1
        for first, last in zip([0, *changes], [*changes, len(offsets)], strict=True):
            start = before + offsets[first]
            end = offsets[first] - after
            # An end of 0 counted from the back would mean an empty slice; "the last" is written as a huge end.
            ends = [int(value) if value else np.iinfo(np.int64).max for value in end]
            part = self._value(f"{node.name}_part")
            self._slice(f"{part}_slice", padded, part, [int(first), *start.tolist()], [int(last), *ends])
            parts.append(part)
        self.graph.node.append(helper.make_node("Concat", parts, node.output, node.name, axis=1))

    def _pad(self, node: onnx.NodeProto, output: str, pads: list[int], elem_type: int) -> None:
        name = f"{node.name}_pad"
        if self.opset < 11:
            made = helper.make_node("Pad", node.input[:1], [output], name, pads=pads)
        else:
            zero = np.zeros((), helper.tensor_dtype_to_np_dtype(elem_type))
            inputs = [node.input[0], self._constant(f"{name}s", np.array(pads, np.int64)),
                      self._constant(f"{name}_value", zero)]
            made = helper.make_node("Pad", inputs, [output], name)
        self.graph.node.append(made)

    def _slice(self, name: str, source: str, output: str, starts: list[int], ends: list[int]) -> None:
        axes = [1, 2, 3]
        if self.opset < 10:
            made = helper.make_node("Slice", [source], [output], name, starts=starts, ends=ends, axes=axes)
        else:
            inputs = [source] + [
                self._constant(f"{name}_{what}", np.array(numbers, np.int64))
                for what, numbers in (("starts", starts), ("ends", ends), ("axes", axes))
            ]
            made = helper.make_node("Slice", inputs, [output], name)
        self.graph.node.append(made)

    def _constant(self, stem: str, values: NDArray[np.generic]) -> str:
        name = self._value(stem)
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def _value(self, stem: str) -> str:
        name = unique_name(stem, self.taken)
        self.taken.add(name)
        return name


class _Taps:
    """Offsets as taps of a dilated kernel: offset = step · tap, |tap| ≤ reach, for rows and columns."""

    def __init__(self, offsets: Offsets) -> None:
        self.step = np.maximum(np.gcd.reduce(offsets, axis=0), 1)
        self.taps = offsets // self.step
        self.reach = np.abs(self.taps).max(axis=0)
        self.fit = bool((self.reach <= LARGEST_REACH).all())

    def one_hot_kernel(self) -> NDArray[np.float64]:
        """[C, 1, 2·reach + 1, 2·reach + 1], a single 1 per channel."""
        rows, columns = 2 * self.reach + 1
        kernel = np.zeros((len(self.taps), 1, rows, columns))
        channel = np.arange(len(self.taps))
        kernel[channel, 0, self.taps[:, 0] + self.reach[0], self.taps[:, 1] + self.reach[1]] = 1
        return kernel


def _drop_domains(model: onnx.ModelProto, domains: set[str]) -> None:
    unused = domains - {node.domain for node in model.graph.node} - {""}
    kept = [entry for entry in model.opset_import if entry.domain not in unused]
    del model.opset_import[:]
    model.opset_import.extend(kept)
