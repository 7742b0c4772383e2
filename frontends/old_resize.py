"""Resize and Upsample before opset 11, said in the attributes of later ones.

Then, they had no attributes for it: coordinates were `asymmetric`, and the nearest element was the one
before, or behind along axes that shrink. ONNX's converter leaves the defaults of opset 11, which mean
something else.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from frontends.names import unique_name

FIRST_WITH_ATTRIBUTES = 11
"""The opset."""
_SCALES = 2
"""Which input of Resize they are from opset 11 on."""


def state_coordinates(graph: onnx.GraphProto) -> None:
    """Write into every Resize of opset 10, those in subgraphs too, which coordinates it means, in place."""
    for node in graph.node:
        if node.op_type == "Resize":
            _set(node, "coordinate_transformation_mode", "asymmetric")
            _set(node, "nearest_mode", "floor")
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                state_coordinates(attribute.g)


def state_rounding(model: onnx.ModelProto) -> None:
    """Let nearest Resizes round up along axes that shrink, in place. Scales that are known by now count.

    model: converted to a later opset, after `state_coordinates`. One that shrinks along some axes and grows
    along others becomes two.
    """
    constants = _constants(model.graph)
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        scales = constants.get(node.input[_SCALES]) if _is_nearest_resize(node) else None
        if scales is None or not (scales < 1).any():
            nodes.append(node)
            continue
        if (scales > 1).any():
            grown = unique_name(f"{node.output[0]}_grown", taken)
            growing = _with_scales(model.graph, node, np.maximum(scales, 1), grown, taken)
            growing.name, growing.output[0] = grown, grown
            nodes.append(growing)
            node = _with_scales(model.graph, node, np.minimum(scales, 1), grown, taken)
            node.input[0] = grown
        _set(node, "nearest_mode", "ceil")
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _is_nearest_resize(node: onnx.NodeProto) -> bool:
    mode = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"nearest")
    return node.op_type == "Resize" and mode == b"nearest" and len(node.input) > _SCALES


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.float32]]:
    """Values of float32 initializers and constants, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 1
    }


def _with_scales(
    graph: onnx.GraphProto, node: onnx.NodeProto, scales: NDArray[np.float32], name: str, taken: set[str]
) -> onnx.NodeProto:
    """The node with other scales, which become an initializer named after `name`."""
    named = unique_name(f"{name}_scales", taken)
    graph.initializer.append(numpy_helper.from_array(scales.astype(np.float32), named))
    changed = onnx.NodeProto()
    changed.CopyFrom(node)
    changed.input[_SCALES] = named
    return changed


def _set(node: onnx.NodeProto, name: str, value: str) -> None:
    for attribute in list(node.attribute):
        if attribute.name == name:
            node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute(name, value))
