"""f(constant, …) → constant, computed with numpy.

TVM's FoldConstant compiles every operator it folds, seconds per model; the operators that stand between
weights and their use are few, and numpy has them all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import relax
from tvm.ir import Expr

from ..array import Array
from ..graph import Graph, Node
from ..relax_values import constant_of, dtype_of, shape_of

_ARITHMETIC: dict[str, Callable[..., Array]] = {
    "relax.add": np.add,
    "relax.subtract": np.subtract,
    "relax.multiply": np.multiply,
    "relax.divide": np.divide,
    "relax.maximum": np.maximum,
    "relax.minimum": np.minimum,
    "relax.power": np.power,
    "relax.sqrt": np.sqrt,
    "relax.rsqrt": lambda x: 1 / np.sqrt(x),
    "relax.exp": np.exp,
    "relax.negative": np.negative,
    "relax.abs": np.abs,
    "relax.isnan": np.isnan,
    "relax.where": np.where,
    "relax.ones_like": np.ones_like,
    "relax.zeros_like": np.zeros_like,
    "relax.equal": np.equal,
    "relax.less": np.less,
    "relax.greater": np.greater,
}

_RESHAPING = ("relax.reshape", "relax.expand_dims", "relax.squeeze", "relax.flatten")


def fold_constants(graph: Graph) -> None:
    """Replace every node whose operands are all constants and whose operator numpy knows."""
    values: dict[Expr, Expr] = {}
    for node in list(graph.nodes):
        arguments = [values.get(arg, arg) for arg in node.args]
        arrays = [a for arg in arguments if (a := constant_of(arg)) is not None]
        if any(arg in values for arg in node.variables):
            graph.replace_all({v: values[v] for v in node.variables if v in values})
        if node.variables or not arrays:
            continue
        result = _evaluate(node, arrays)
        if result is not None:
            values[node.var] = relax.const(result, dtype_of(node.var))  # without a dtype, int64 turns int32
    graph.replace_all(values)


def _evaluate(node: Node, arrays: list[Array]) -> Array | None:
    if node.op in _RESHAPING:
        return arrays[0].reshape(shape_of(node.var))
    if node.op == "relax.permute_dims":
        axes = node.call.attrs.axes
        return np.ascontiguousarray(np.transpose(arrays[0], None if axes is None else [int(a) for a in axes]))
    if node.op == "relax.broadcast_to":
        return np.ascontiguousarray(np.broadcast_to(arrays[0], shape_of(node.var)))
    if node.op == "relax.astype":
        return arrays[0]
    if node.op in _ARITHMETIC and len(arrays) == len(node.args):
        with np.errstate(all="ignore"):
            return np.asarray(_ARITHMETIC[node.op](*arrays))
    return None
