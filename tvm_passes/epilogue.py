"""Which element-wise operators may follow an anchor in its stage, and as which epilogue step.

`match_step(uses, value)` looks at what consumes `value` and answers with the step that computes it,
or with the reason why the stage must end there. Fusing asks it to grow a stage; reading a stage back
asks it again, so that both always agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from tvm.ir import Var

from schedules.workload import EpilogueOp

from .array import Array
from .composite_activation import match_composite
from .epilogue_step import EpilogueStep, clip_bounds
from .node import Node
from .relax_values import constant_of, dtype_of, shape_of
from .uses import Uses


def match_step(uses: Uses, value: Var) -> EpilogueStep | str:
    """The epilogue step that consumes `value`, or why none does."""
    if uses.is_output(value):
        return "it is an output of the graph"
    consumers = uses.consumers(value)
    step = match_composite(uses, value)
    if step is not None:
        return step
    if len(consumers) != 1:
        return f"it has {len(consumers)} consumers"
    return _match_node(consumers[0], value)


def head_step(uses: Uses, node: Node) -> tuple[Var, EpilogueStep] | str:
    """The step that starts an element-wise stage at `node`, and the value it starts from."""
    if not is_elementwise(node):
        return f"{node.op} is not element-wise"
    if dtype_of(node.var) != "float32" or len(shape_of(node.var)) not in (2, 4):
        return f"{node.op} on {dtype_of(node.var)} of rank {len(shape_of(node.var))}"
    reason: str = f"{node.op} reads no tensor of its own shape"
    for value in dict.fromkeys(v for v in node.variables if shape_of(v) == shape_of(node.var)):
        composite = match_composite(uses, value)
        step = composite if composite is not None and node in composite.nodes else _match_node(node, value)
        if not isinstance(step, str):
            return value, step
        reason = step
    return reason


def vanishes_at_zero(node: Node) -> bool | None:
    """Whether an element-wise function of one value maps 0 to 0; None for any other operator."""
    if node.op in _UNARY:
        op = _UNARY[node.op](node)
    elif node.op in _BINARY and len(node.variables) == 1:
        step = _binary(node, node.variables[0])
        swapped = not node.call.args[0].same_as(node.variables[0])
        if isinstance(step, str) or step.vector is not None or swapped:
            return None
        op = step.op
    else:
        return None
    if op.kind == "clip":
        return op.constants[0] <= 0.0 <= op.constants[1]
    if op.kind == "power_scalar":
        return op.constants[0] > 0.0
    return op.kind in _VANISHING


def is_elementwise(node: Node) -> bool:
    """Whether the operator can be a step of an epilogue, as far as its name says."""
    return node.op in _UNARY or node.op in _BINARY or node.op == "relax.nn.prelu"


def _match_node(node: Node, value: Var) -> EpilogueStep | str:
    if not is_elementwise(node):
        return f"{node.op} is not an element-wise epilogue"
    if shape_of(node.var) != shape_of(value) or dtype_of(node.var) != "float32":
        return f"{node.op} changes its shape or type"
    if node.op in _UNARY:
        return EpilogueStep(_UNARY[node.op](node), (node,), node.var)
    if node.op == "relax.nn.prelu":
        return _prelu(node, value)
    return _binary(node, value)


def _plain(kind: str) -> Callable[[Node], EpilogueOp]:
    return lambda node: EpilogueOp(kind)


def _clip(node: Node) -> EpilogueOp:
    return EpilogueOp("clip", clip_bounds(node))


_UNARY: dict[str, Callable[[Node], EpilogueOp]] = {
    "relax.nn.relu": _plain("relu"),
    "relax.nn.relu6": lambda node: EpilogueOp("clip", (0.0, 6.0)),
    "relax.clip": _clip,
    "relax.nn.leakyrelu": lambda node: EpilogueOp("leaky_relu", (float(node.call.attrs.alpha),)),
    "relax.sigmoid": _plain("sigmoid"),
    "relax.tanh": _plain("tanh"),
    "relax.nn.silu": _plain("silu"),
    "relax.nn.gelu": _plain("gelu"),
    "relax.nn.gelu_tanh": _plain("gelu_tanh"),
    "relax.exp": _plain("exp"),
    "relax.sqrt": _plain("sqrt"),
    "relax.abs": _plain("abs"),
    "relax.negative": _plain("negative"),
    "relax.erf": _plain("erf"),
}

_VANISHING = frozenset(
    ("relu", "leaky_relu", "tanh", "silu", "gelu", "gelu_tanh", "sqrt", "abs", "negative", "erf")
) | {"multiply_scalar", "hard_swish"}

_BINARY = {
    "relax.add": "add",
    "relax.subtract": "subtract",
    "relax.multiply": "multiply",
    "relax.divide": "divide",
    "relax.maximum": "maximum",
    "relax.minimum": "minimum",
    "relax.power": "power",
}

_SWAPPABLE = ("add", "multiply", "maximum", "minimum")


def _binary(node: Node, value: Var) -> EpilogueStep | str:
    kind = _BINARY[node.op]
    left, right = node.call.args
    if left.same_as(right):
        return f"{node.op} reads it twice"
    swapped = right.same_as(value)
    other = left if swapped else right
    constant = constant_of(other)
    if constant is not None:
        return _with_constant(node, kind, constant, swapped, shape_of(value))
    if kind == "power":
        return "relax.power with an exponent that is not constant"
    shape, other_shape = shape_of(value), shape_of(other)
    if other_shape == shape:
        per_channel = False
    elif len(shape) == 4 and other_shape == (*shape[:2], 1, 1):
        per_channel = True
    else:
        return f"{node.op} broadcasts {other_shape} over {shape}"
    op = EpilogueOp(kind, swapped=swapped and kind not in _SWAPPABLE)
    return EpilogueStep(op, (node,), node.var, operand=other, per_channel=per_channel)


def _with_constant(
    node: Node, kind: str, constant: Array, swapped: bool, shape: tuple[int, ...]
) -> EpilogueStep | str:
    if swapped and kind not in _SWAPPABLE:
        return f"{node.op} with a constant on its left"
    if kind in ("subtract", "divide"):
        constant = -constant if kind == "subtract" else np.float32(1) / constant
        kind = {"subtract": "add", "divide": "multiply"}[kind]
    if constant.size == 1:
        number = float(constant.reshape(-1)[0])
        ops = {
            "add": EpilogueOp("add_scalar", (number,)),
            "multiply": EpilogueOp("multiply_scalar", (number,)),
            "maximum": EpilogueOp("clip", (number, math.inf)),
            "minimum": EpilogueOp("clip", (-math.inf, number)),
            "power": EpilogueOp("power_scalar", (number,)),
        }
        return EpilogueStep(ops[kind], (node,), node.var)
    vector = channel_vector(constant, shape)
    if vector is None or kind not in ("add", "multiply"):
        return f"{node.op} with a constant of shape {constant.shape}"
    return EpilogueStep(EpilogueOp(f"{kind}_vector"), (node,), node.var, vector=vector)


def channel_vector(constant: Array, shape: tuple[int, ...], channel_axis: int = 1) -> Array | None:
    """The constant as one number per channel of a tensor, or None where it varies along other axes."""
    rank = len(shape)
    if channel_axis >= rank or constant.ndim > rank:
        return None
    extents = [1] * (rank - constant.ndim) + list(constant.shape)
    if constant.size != extents[channel_axis]:
        return None
    return np.broadcast_to(constant.reshape(-1), (shape[channel_axis],)).astype(np.float32)


def _prelu(node: Node, value: Var) -> EpilogueStep | str:
    slope = constant_of(node.call.args[1])
    shape = shape_of(value)
    if slope is None:
        return "relax.nn.prelu with a slope that is not constant"
    if slope.size != 1 and int(node.call.attrs.axis) % len(shape) != 1:
        return "relax.nn.prelu along an axis other than the channels"
    vector = np.broadcast_to(slope.reshape(-1), (shape[1],)).astype(np.float32)
    return EpilogueStep(EpilogueOp("prelu"), (node,), node.var, vector=vector)
