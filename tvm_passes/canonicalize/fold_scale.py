"""conv(x, W) * s → conv(x, s W);  (conv(x, W) + b) * s → conv(x, s W) + s b  for a constant s per channel."""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm.ir import Call

from ..epilogue import channel_vector
from ..graph import Graph, Node
from ..relax_values import constant_of, shape_of
from ..uses import Uses


def fold_scale(graph: Graph) -> None:
    """Fold constant multiplications that follow a convolution or matrix multiplication into its weights."""
    while _fold_one(graph):
        graph.remove_dead()


def _fold_one(graph: Graph) -> bool:
    uses = Uses(graph)
    changed = False
    touched: set[Node] = set()
    for node in graph.nodes:
        if node.op != "relax.multiply":
            continue
        inner, scale = _operand_and_scale(node)
        producer = None if inner is None else uses.producer(inner)
        if producer is None or scale is None or producer in touched or not _only_reader(uses, producer):
            continue
        if producer.op in ("relax.nn.conv2d", "relax.matmul"):
            if _scale_weight(producer, scale):
                graph.replace(node.var, producer.var)
                touched.add(producer)
                changed = True
        elif producer.op == "relax.add":
            changed |= _pull_through_add(uses, node, producer, scale, touched)
        if changed:
            return True
    return False


def _only_reader(uses: Uses, producer: Node) -> bool:
    return len(uses.consumers(producer.var)) == 1 and not uses.is_output(producer.var)


def _operand_and_scale(node: Node) -> tuple[object, np.ndarray | None]:
    """The tensor and the factor per channel of a multiplication by a constant."""
    for inner, other in (node.call.args, reversed(node.call.args)):
        constant = constant_of(other)
        if constant is not None and constant_of(inner) is None and shape_of(inner) == shape_of(node.var):
            return inner, channel_vector(constant, shape_of(node.var))
    return None, None


def _scale_weight(producer: Node, scale: np.ndarray) -> bool:
    data, weight = producer.call.args[:2]
    array = constant_of(weight)
    if array is None or (producer.op == "relax.matmul" and array.ndim != 2):
        return False
    factor = scale[:, None, None, None] if producer.op == "relax.nn.conv2d" else scale[None, :]
    scaled = relax.const((array * factor).astype(array.dtype))
    producer.call = Call(producer.call.op, [data, scaled], producer.call.attrs, producer.call.ty_args)
    return True


def _pull_through_add(uses: Uses, node: Node, add: Node, scale: np.ndarray, touched: set[Node]) -> bool:
    """(conv + b) * s → conv * s + s b, so that the next round meets conv * s."""
    for inner, other in (add.call.args, reversed(add.call.args)):
        producer, bias = uses.producer(inner), constant_of(other)
        if producer is None or bias is None or producer.op not in ("relax.nn.conv2d", "relax.matmul"):
            continue
        vector = channel_vector(bias, shape_of(add.var))
        if vector is None or not _only_reader(uses, producer) or not _scale_weight(producer, scale):
            return False
        shape = (1, -1, *([1] * (len(shape_of(add.var)) - 2)))
        add.call = relax.op.add(producer.var, relax.const((vector * scale).reshape(shape)))
        touched.add(producer)
        node.call = relax.op.multiply(add.var, relax.const(np.float32(1)))
        return True
    return False
