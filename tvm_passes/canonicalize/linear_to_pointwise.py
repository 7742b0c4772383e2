"""matmul(x, W) → permute(conv(permute(x), Wᵀ)), for x: [N, H, W, C] or tokens [N, L, C] and W: [C, M].

A linear layer over the last axis is a pointwise convolution of the planes. Exporters often flatten x to
[N * L, C] first; that is looked through. Tokens become planes of the size that reshapes elsewhere in the
graph give them, else of one column. A product of matrices [N, K] that are nothing else stays.
"""

from __future__ import annotations

import numpy as np
from tvm import relax
from tvm.ir import Expr

from ..graph import Graph, Node
from ..relax_values import constant_of, dtype_of, shape_of
from ..uses import Uses
from .plane_view import RESHAPES, PlaneView, PlaneViews, planes_of


def linear_to_pointwise(graph: Graph, uses: Uses, views: PlaneViews, node: Node) -> bool:
    """Rewrite a matrix product by a constant as a pointwise convolution; False for any other node."""
    if node.op != "relax.matmul" or dtype_of(node.var) != "float32":
        return False
    weight = constant_of(node.call.args[1])
    if weight is None or weight.ndim != 2:
        return False
    view = _operand(graph, uses, views, node)
    if view is None:
        return False
    kernel = np.ascontiguousarray(weight.T)[:, :, None, None]
    conv = relax.op.nn.conv2d(view.planes, relax.const(kernel, dtype_of(node.var)))
    result = view.of(graph.insert_before(node, conv, node.name).var)
    node.call = result.seen(graph, node, shape_of(node.var))
    views.note(node.var, result)
    return True


def _operand(graph: Graph, uses: Uses, views: PlaneViews, node: Node) -> PlaneView | None:
    """The data as planes, channels last: known ones, or made of the tensor before it was flattened."""
    data = node.call.args[0]
    channels = shape_of(data)[-1]
    view = views.of(data)
    if view is not None and view.last and view.channels == channels:
        return view
    tensor = _before_flattening(uses, data)
    shape = shape_of(tensor)
    if len(shape) == 4:
        n, rows, columns, _ = shape
    elif len(shape) == 3:
        n = shape[0]
        rows, columns = views.size_of_tokens(n, shape[1])
    else:
        return None
    return planes_of(graph, node, tensor, (n, channels, rows, columns), last=True)


def _before_flattening(uses: Uses, data: Expr) -> Expr:
    """The tensor of rank 3 or 4 that a matrix [N * L, C] is a reshape of, or the matrix itself."""
    tensor = data
    while len(shape_of(tensor)) == 2:
        producer = uses.producer(tensor)
        if producer is None or producer.op not in RESHAPES:
            return data
        tensor = producer.call.args[0]
        if shape_of(tensor)[-1:] != shape_of(data)[-1:]:
            return data
    return tensor
