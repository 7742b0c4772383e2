"""What a converter is given, and helpers all of them need.

A converter takes a `Node` and returns the expression of its first output, or a list with one expression for
each output. It reads attributes through the node only, so that an attribute nobody reads can be refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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


Limits = tuple[tuple[int, int], ...]


class Attributes(dict[str, Any]):
    """The attributes that a node states, by name, which remember who was asked for: `read`.

    Strings are bytes, as in the model and as TVM's converters expect them. Iterating reads nothing.
    """

    def __init__(self, stated: Mapping[str, Any]) -> None:
        super().__init__(stated)
        self.read: set[str] = set()

    @classmethod
    def of(cls, node: onnx.NodeProto) -> Attributes:
        """Those of a node of the model; lists as tuples."""
        values = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        return cls({name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

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

    def peek(self, name: str) -> Any:
        """The value of a stated attribute, which does not count as reading it."""
        return super().__getitem__(name)


class Inputs(list[Any]):
    """The inputs of a node, None where one is left out, which remember who was asked for: `read`.

    There is no end: an index beyond it gives None, as TVM's converters expect. Iterating reads all.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__(values)
        self.read: set[int] = set()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            stop = len(self) if index.stop is None else index.stop
            return [self[position] for position in range(stop)[index]]
        position = index if index >= 0 else index + len(self)
        self.read.add(position)
        return super().__getitem__(position) if position < len(self) else None

    def __iter__(self) -> Iterator[Any]:
        self.read.update(range(len(self)))
        return super().__iter__()

    def unread(self) -> Iterator[int]:
        """Positions of inputs that are there and that nobody asked for."""
        given = (position for position, value in enumerate(self.peek()) if value is not None)
        return (position for position in given if position not in self.read)

    def peek(self) -> list[Any]:
        """All of them, which does not count as reading them."""
        return list(super().__iter__())


@attrs.frozen(eq=False)
class Counted:
    """A value with `count` rows along `axis` that are there; count: int64 [1], a variable."""

    axis: int
    count: Expr


@attrs.frozen(eq=False)
class Node:
    """A node to convert.

    builder:    Relax's block builder; `normalize` gives an expression its type.
    operator:   the ONNX operator, and `domain` whose it is ("" is ONNX's own).
    opset:      the version of the domain the model imports.
    inputs:     one expression each, None where an input is left out.
    attributes: as stated in the model; `attribute` falls back on the schema's default.
    outputs:    how many outputs the node names, those nobody reads included.
    outputs_read: how many of them, up to the last one that anything reads.
    limits:     what `limit` was told, for the importer.
    counted:    by number of the output, which has as many rows along an axis as data decides.
    """

    builder: Any
    operator: str
    domain: str
    opset: int
    inputs: Inputs
    attributes: Attributes
    outputs: int = 1
    outputs_read: int = 1
    limits: list[tuple[Expr, Limits]] = attrs.field(factory=list)
    counted: dict[int, Counted] = attrs.field(factory=dict)

    def limit(self, expr: Expr, limits: Iterable[tuple[int, int]]) -> None:
        """State the lowest and highest value that elements of an integer tensor may have: one pair for all of
        them, or one for each position along the last axis. Kernels must stay inside memory all the same."""
        self.limits.append((expr, tuple(limits)))

    def optional(self, index: int) -> Expr | None:
        """Input `index`, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def has_only_constants(self) -> bool:
        """Whether every input that is there is known at compile time."""
        return all(value is None or isinstance(value, GenericConst) for value in self.inputs.peek())

    def attribute(self, name: str, default: Any = None) -> Any:
        """The attribute as stated, else the default of ONNX's schema, else `default`; strings as str."""
        value = self.attributes.get(name)
        if value is None:
            value = self.schema_default(name)
        if value is None:
            return default
        return value.decode() if isinstance(value, bytes) else value

    @property
    def schema(self) -> onnx.defs.OpSchema | None:
        """What ONNX says of the operator in this opset; None where ONNX does not define it."""
        if not onnx.defs.has(self.operator, self.opset, self.domain):
            return None
        return onnx.defs.get_schema(self.operator, self.opset, self.domain)

    def schema_default(self, name: str) -> Any:
        """The default of an attribute, lists as tuples; None where it has none."""
        schema = self.schema
        default = schema.attributes[name].default_value if schema and name in schema.attributes else None
        if default is None or default.type == onnx.AttributeProto.UNDEFINED:
            return None
        value = onnx.helper.get_attribute_value(default)
        return tuple(value) if isinstance(value, list) else value

    def input_name(self, position: int) -> str:
        """What ONNX calls an input of the operator; its last one may stand for any number."""
        formal = self.schema.inputs if self.schema else ()
        return str(formal[min(position, len(formal) - 1)].name) if formal else str(position)


Converter = Callable[[Node], "Expr | list[Expr]"]


def constant(values: NDArray[Any]) -> Expr:
    """`values` as they are: `relax.const` by itself would narrow int64 and float64 arrays."""
    return relax.const(tvm.runtime.tensor(np.ascontiguousarray(values).reshape(values.shape)))


def constant_scalar(value: float, like: Expr) -> Expr:
    """A scalar of the element type of `like`."""
    return relax.const(value, dtype_of(like))


def static_shape(expr: Expr) -> tuple[int, ...]:
    """Raises ValueError where the shape is not static."""
    if expr.ty.shape is None:
        raise ValueError("its input's shape depends on data")
    return tuple(int(dim) for dim in expr.ty.shape)


def axis_of(axis: int, expr: Expr) -> int:
    """An axis of `expr` counted from the front. Raises ValueError where there is none."""
    rank = len(static_shape(expr))
    if not -rank <= axis < rank:
        raise ValueError(f"its axis {axis} does not exist in a tensor of rank {rank}")
    return axis % rank


def dtype_of(expr: Expr) -> str:
    """The element type, as numpy names it where numpy has it."""
    return str(expr.ty.dtype)


def constant_value(expr: Expr, what: str) -> NDArray[Any]:
    """Raises ValueError where `expr` is not a constant."""
    if not isinstance(expr, GenericConst):
        raise ValueError(f"its {what} is not constant")
    return np.asarray(expr.value.numpy())


def fields_of(bound: Expr) -> list[Expr]:
    """The results of a kernel that has several, which is bound to a variable."""
    return [relax.TupleGetItem(bound, index) for index in range(len(bound.ty.fields))]
