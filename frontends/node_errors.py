"""Why a node cannot be imported, in the words of the model: what converters of TVM say is for nobody else."""

from __future__ import annotations

import traceback

from tvm import tirx
from tvm.ir import GenericConst

from frontends.converters import Node
from frontends.converters.node import dtype_of


def reason_of(error: Exception, node: Node) -> str:
    """What our own converter says, else how the operator is used."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    if isinstance(error, ValueError) and raised_in.startswith("frontends."):
        return f"{node.operator} cannot be imported: {error}"
    return f"{node.operator} cannot be imported as it is used here: {_use_of(node)}"


def _use_of(node: Node) -> str:
    """The inputs: `X float32[1,3,8,8], scales float32[4] not constant`."""
    described = []
    for position, value in enumerate(node.inputs.peek()):
        if value is not None:
            fixed = position == 0 or isinstance(value, GenericConst)
            described.append(f"{node.input_name(position)} {_type(value)}{'' if fixed else ' not constant'}")
    return ", ".join(described) or "without inputs"


def _type(value: object) -> str:
    shape = getattr(getattr(value, "ty", None), "shape", None)
    if shape is None:
        return "a value that is no tensor of a fixed shape"
    return f"{dtype_of(value)}[{','.join(map(_size, shape))}]"


def _size(dim: object) -> str:
    return str(dim.value) if isinstance(dim, tirx.IntImm) else "?"
