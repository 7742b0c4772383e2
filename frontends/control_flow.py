"""If, Loop and Scan whose course does not depend on data, written out: the branch taken, every iteration.

A condition or a number of iterations has to be constant, a sequence of static length. What runs otherwise
stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from frontends.known_values import known_values, static_shapes
from frontends.model_file import standard_opset
from frontends.subgraphs import written_out

MOST_NODES = 20_000
"""Longer loops stay loops, and are refused: nobody wants to wait for the code of so many operators."""


def write_out_control_flow(model: onnx.ModelProto) -> bool:
    """Write out, in place, what can be; whether anything was. Types of values must be recorded in `model`."""
    graph = model.graph
    if not any(node.op_type in _COURSES for node in graph.node):
        return False
    known = _Known(known_values(graph, standard_opset(model)), static_shapes(graph))
    written = _Written()
    changed = False
    for node in graph.node:
        course = _COURSES.get(node.op_type) if node.domain == "" else None
        if course is not None and course(node, known, written):
            changed = True
        else:
            written.nodes.append(node)
    if changed:
        nodes = list(written.nodes)
        del graph.node[:]
        graph.node.extend(nodes)
        graph.initializer.extend(written.initializers)
    return changed


@attrs.frozen
class _Known:
    """Values that are constant, and shapes that are static, by name."""

    constants: Mapping[str, NDArray[np.generic]]
    shapes: Mapping[str, tuple[int, ...]]

    def scalar(self, name: str, missing: int | None) -> int | None:
        """The value of a constant; `missing` where the input is left out, None where it is not known."""
        if not name:
            return missing
        value = self.constants.get(name)
        return None if value is None else int(value.reshape(()))


@attrs.define
class _Written:
    """The nodes so far; `count` numbers the constants that are added."""

    nodes: list[onnx.NodeProto] = attrs.field(factory=list)
    initializers: list[onnx.TensorProto] = attrs.field(factory=list)

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: int) -> str:
        self.nodes.append(onnx.helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def body(self, body: onnx.GraphProto, prefix: str, bindings: Mapping[str, str]) -> list[str]:
        nodes, initializers, outputs = written_out(body, prefix, bindings)
        self.nodes.extend(nodes)
        self.initializers.extend(initializers)
        return outputs

    def results(self, node: onnx.NodeProto, values: Sequence[str]) -> None:
        """`values` under the names of the node's outputs."""
        for output, value in zip(node.output, values, strict=False):
            if output:
                self.add("Identity", [value], output)

    def stacked(self, values: Sequence[str], axis: int, name: str) -> str:
        """The values along a new axis."""
        axes = self.constant(f"{name}/axes", np.array([axis], np.int64))
        parts = [self.add("Unsqueeze", [value, axes], f"{name}/{i}") for i, value in enumerate(values)]
        return self.add("Concat", parts, name, axis=axis)


def _if(node: onnx.NodeProto, known: _Known, written: _Written) -> bool:
    condition = known.scalar(node.input[0], None)
    if condition is None:
        return False
    body = _attribute(node, "then_branch" if condition else "else_branch")
    written.results(node, written.body(body, f"{node.name}/", {}))
    return True


def _loop(node: onnx.NodeProto, known: _Known, written: _Written) -> bool:
    body: onnx.GraphProto = _attribute(node, "body")
    inputs = [*node.input, "", ""][: max(2, len(node.input))]
    count, condition = known.scalar(inputs[0], None), known.scalar(inputs[1], 1)
    carried = list(inputs[2:])
    stacks: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
    if count is None or condition is None or not _goes_on(body) or len(body.node) * count > MOST_NODES:
        return False
    count = count if condition else 0
    if count < 1 and any(node.output[len(carried) :]):
        return False
    for iteration in range(count):
        prefix = f"{node.name}/{iteration}/"
        number = written.constant(f"{prefix}iteration", np.array(iteration, np.int64))
        going = written.constant(f"{prefix}condition", np.array(True))
        values = (number, going, *carried)
        names = [value.name for value in body.input]
        outputs = written.body(body, prefix, dict(zip(names, values, strict=True)))
        carried = outputs[1 : 1 + len(carried)]
        for stack, value in zip(stacks, outputs[1 + len(carried) :], strict=True):
            stack.append(value)
    stacked = (written.stacked(s, 0, f"{node.name}/stacked/{i}") for i, s in enumerate(stacks) if count)
    written.results(node, [*carried, *stacked])
    return True


def _goes_on(body: onnx.GraphProto) -> bool:
    """Whether the condition a body returns is true, or the one it is given."""
    name = body.output[0].name
    true = {body.input[1].name}
    true |= {tensor.name for tensor in body.initializer if numpy_helper.to_array(tensor).all()}
    for node in body.node:
        if node.op_type == "Identity" and node.input[0] in true:
            true.add(node.output[0])
        value = _constant(node)
        if value is not None and value.all():
            true.add(node.output[0])
    return name in true


def _scan(node: onnx.NodeProto, known: _Known, written: _Written) -> bool:
    body: onnx.GraphProto = _attribute(node, "body")
    scanned = _attribute(node, "num_scan_inputs")
    states = len(node.input) - scanned
    sequences = list(node.input[states:])
    axes = _attribute(node, "scan_input_axes", [0] * scanned)
    backwards = _attribute(node, "scan_input_directions", [0] * scanned)
    if not all(name in known.shapes for name in sequences):
        return False
    length = known.shapes[sequences[0]][axes[0]]
    if length < 1 or len(body.node) * length > MOST_NODES:
        return False
    carried = list(node.input[:states])
    stacks: list[list[str]] = [[] for _ in body.output[states:]]
    for step in range(length):
        prefix = f"{node.name}/{step}/"
        slices = []
        for i, (sequence, axis, is_backwards) in enumerate(zip(sequences, axes, backwards, strict=True)):
            at = np.array(length - 1 - step if is_backwards else step, np.int64)
            index = written.constant(f"{prefix}index/{i}", at)
            slices.append(written.add("Gather", [sequence, index], f"{prefix}slice/{i}", axis=axis))
        names = [value.name for value in body.input]
        outputs = written.body(body, prefix, dict(zip(names, [*carried, *slices], strict=True)))
        carried = outputs[:states]
        for stack, value in zip(stacks, outputs[states:], strict=True):
            stack.append(value)
    axes = _attribute(node, "scan_output_axes", [0] * len(stacks))
    backwards = _attribute(node, "scan_output_directions", [0] * len(stacks))
    results = list(carried)
    for i, (stack, axis, is_backwards) in enumerate(zip(stacks, axes, backwards, strict=True)):
        ordered = stack[::-1] if is_backwards else stack
        results.append(written.stacked(ordered, axis, f"{node.name}/stacked/{i}"))
    written.results(node, results)
    return True


def _constant(node: onnx.NodeProto) -> NDArray[np.generic] | None:
    """What a Constant node holds as a tensor; None for any other node."""
    if node.op_type != "Constant" or node.attribute[0].name != "value":
        return None
    return np.asarray(numpy_helper.to_array(node.attribute[0].t))


def _attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    stated = (onnx.helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name)
    return next(stated, default)


_COURSES = {"If": _if, "Loop": _loop, "Scan": _scan}
