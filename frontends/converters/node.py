"""What a converter is given, and helpers all of them need.

A converter takes a `Node` and returns the expression of its first output, or a list with one expression for
each output. It reads attributes through the node only, so that an attribute nobody reads can be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import GenericConst

Expr = Any
"""relax.Expr; TVM is untyped."""


class Attributes(dict[str, Any]):
    """The attributes that a node states, by name, which remember who was asked for: `read`.

    Strings are bytes, as in the model and as TVM's converters expect them. Iterating reads nothing.
    """

    def __init__(self, stated: Mapping[str, Any]) -> None:
        super().__init__(stated)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        self.read.add(name)
        return super().pop(name, *default)

    def unread(self) -> Iterator[str]:
        """Names of stated attributes that nobody asked for."""
        return (name for name in self if name not in self.read)


@attrs.frozen(eq=False)
class Node:
    """A node to convert.

    builder:    Relax's block builder; `normalize` gives an expression its type.
    operator:   the ONNX operator, and `domain` whose it is ("" is ONNX's own).
    opset:      the version of the domain the model imports.
    inputs:     one expression each, None where an input is left out.
    attributes: as stated in the model; `attribute` falls back on the schema's default.
    outputs:    how many outputs the node names, those nobody reads included.
    """

    builder: Any
    operator: str
    domain: str
    opset: int
    inputs: Sequence[Expr]
    attributes: Attributes
    outputs: int = 1

    def optional(self, index: int) -> Expr | None:
        """Input `index`, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """The attribute as stated, else the default of ONNX's schema, else `default`; strings as str."""
        value = self.attributes.get(name)
        if value is None:
            value = self._schema_default(name)
        if value is None:
            return default
        return value.decode() if isinstance(value, bytes) else value

    def _schema_default(self, name: str) -> Any:
        if not onnx.defs.has(self.operator, self.opset, self.domain):
            return None
        schema = onnx.defs.get_schema(self.operator, self.opset, self.domain)
        default = schema.attributes[name].default_value if name in schema.attributes else None
        if default is None or default.type == onnx.AttributeProto.UNDEFINED:
            return None
        return onnx.helper.get_attribute_value(default)


Converter = Callable[[Node], "Expr | list[Expr]"]


def constant(values: NDArray[Any]) -> Expr:
    """`values` as they are: `relax.const` by itself would narrow int64 and float64 arrays."""
    return relax.const(tvm.runtime.tensor(np.ascontiguousarray(values).reshape(values.shape)))


def static_shape(expr: Expr) -> tuple[int, ...]:
    """Raises ValueError where the shape is not static."""
    if expr.ty.shape is None:
        raise ValueError("its input's shape depends on data")
    return tuple(int(dim) for dim in expr.ty.shape)


def dtype_of(expr: Expr) -> str:
    """The element type, as numpy names it where numpy has it."""
    return str(expr.ty.dtype)


def constant_value(expr: Expr, what: str) -> NDArray[Any]:
    """Raises ValueError where `expr` is not a constant."""
    if not isinstance(expr, GenericConst):
        raise ValueError(f"its {what} is not constant")
    return np.asarray(expr.value.numpy())
