"""The Relax module behind `fold` → operators and buffers: what `staged.tile` makes stages of.

Every stage, index map and other operator of `main` becomes one `Operator`; kernels, biases and other
constants become buffers, whose values come along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from tvm.ir import Expr, IRModule, Var

from ..apply_index_map import index_map_of
from ..array import Array
from ..graph import Graph, Node
from ..index_map import IndexMap
from ..layout import Planner
from ..lowering.context import LoweringError
from ..lowering.steps import StageStep
from ..node import origin
from ..relax_values import constant_of, dtype_of, shape_of
from ..stage import Operation, Read, stage_of
from ..stage import Stage as FusedStage
from .program import Buffer, Operand, Operator, Port, PostOperation, StagedProgram


@attrs.frozen(eq=False)
class Collected:
    """A program without stages, and the values of its weights by the names of their buffers."""

    program: StagedProgram
    weights: Mapping[str, Array]


def collect(
    mod: IRModule,
    model: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    node_of_var: Mapping[str, str],
    lanes: int = 1,
) -> Collected:
    """The operators of `main`. inputs, outputs: the model's names for parameters and results.

    lanes: channels of a block of the layouts whose kernels' order of summation is the program's.

    Raises LoweringError for an operator that makes anything but one tensor, and for transposed convolutions.
    """
    graph = Graph.read(mod)
    collector = _Collector(mod, node_of_var, _lanes_read(mod, lanes))
    ports = [
        Port(name, collector.tensor(var, "input")) for name, var in zip(inputs, graph.params, strict=True)
    ]
    operators = [collector.operator(node) for node in graph.nodes]
    results = [
        Port(name, collector.result(name, expr)) for name, expr in zip(outputs, graph.outputs, strict=True)
    ]
    program = StagedProgram(
        model, tuple(ports), tuple(results), tuple(collector.buffers.values()), tuple(operators)
    )
    return Collected(program, collector.weights)


class _Collector:
    def __init__(self, mod: IRModule, node_of_var: Mapping[str, str], lanes: Mapping[str, int]) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.weights: dict[str, Array] = {}
        self._mod = mod
        self._node_of_var = node_of_var
        self._lanes = lanes
        self._names: dict[Var, str] = {}

    def operator(self, node: Node) -> Operator:
        stage = stage_of(self._mod, node)
        if stage is not None:
            return self._stage(node, stage)
        output = self.tensor(node.var, "plane")
        if node.op == "index_map":
            operand = Operand(self._tensors(node.variables), index_map_of(node.call))
            return Operator(output, "movement", self._nodes([node.name]), operand, output)
        tensors = tuple(
            self._any(arg, f"{output}.operand{i}") for i, arg in enumerate(node.args) if _is_tensor(arg)
        )
        attributes = tuple((str(key), str(value)) for key, value in _attributes(node))
        return Operator(
            output,
            "generic",
            self._nodes([node.name]),
            Operand(tensors),
            output,
            relax=node.op,
            attributes=attributes,
        )

    def _stage(self, node: Node, stage: FusedStage) -> Operator:
        if stage.window.spaced:
            operator = self._nodes(stage.operators)[0]
            raise LoweringError(f"{operator}: a transposed convolution has no form in a staged program")
        name = self.tensor(node.var, "plane")
        window, (read, weight) = stage.window, _without_zeros(stage)
        return Operator(
            name=name,
            kind=stage.kind,
            nodes=self._nodes(stage.operators),
            operand=self._operand(read),
            output=name,
            kernel=window.kernel,
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            groups=stage.groups,
            weight=None if weight is None else self._weight(f"{name}.weight", weight),
            lanes=self._lanes.get(stage.name, 1),
            reduce=stage.reduce,
            count_include_pad=stage.count_include_pad,
            tables=self._tables(name, stage),
            epsilon=stage.epsilon,
            epilogue=tuple(
                self._post(f"{name}.epilogue{number}", operation)
                for number, operation in enumerate(stage.epilogue)
            ),
        )

    def _tables(self, name: str, stage: FusedStage) -> tuple[str, ...]:
        tables = [t for taps in stage.taps or () for t in (taps.index.astype(np.int32), taps.weight)]
        return tuple(self._weight(f"{name}.table{number}", table) for number, table in enumerate(tables))

    def _post(self, name: str, operation: Operation) -> PostOperation:
        step = operation.step
        return PostOperation(
            kind=step.op.kind,
            constants=tuple(map(float, step.op.constants)),
            swapped=step.op.swapped,
            vector=None if step.vector is None else self._weight(name, step.vector),
            operand=None if operation.read is None else self._operand(operation.read),
            per_channel=step.per_channel,
        )

    def _operand(self, read: Read) -> Operand:
        return Operand(self._tensors(read.sources), read.map)

    def _tensors(self, variables: Sequence[Var]) -> tuple[str, ...]:
        return tuple(self._names[var] for var in variables)

    def _any(self, expr: Expr, name: str) -> str:
        constant = constant_of(expr)
        return self._names[expr] if constant is None else self._weight(name, constant)

    def _weight(self, name: str, values: Array) -> str:
        self.weights[name] = values
        self.buffers[name] = Buffer(name, "weight", values.shape, str(values.dtype))
        return name

    def tensor(self, var: Var, kind: str) -> str:
        """A buffer for the variable, by a name that no other has."""
        if not _is_tensor(var):
            raise LoweringError(f"{var.name}: what is no single tensor has no form in a staged program")
        name = str(var.name)
        while name in self.buffers:
            name += "_"
        self._names[var] = name
        self.buffers[name] = Buffer(
            name, "input" if kind == "input" else "plane", shape_of(var), dtype_of(var)
        )
        return name

    def result(self, name: str, expr: Expr) -> str:
        """The buffer of an output."""
        return self._any(expr, f"{name}.constant")

    def _nodes(self, variables: Sequence[str]) -> tuple[str, ...]:
        """The model's nodes that variables came from, each once."""
        names = (self._node_of_var.get(origin(name), origin(name)) for name in variables)
        return tuple(dict.fromkeys(names))


def _without_zeros(stage: FusedStage) -> tuple[Read, Array | None]:
    """What a stage reads, and its weights; of a dense convolution, without channels that are zero."""
    read, weight = stage.read, stage.weight
    if weight is None or read.map is None or stage.kind != "convolution" or stage.groups > 1:
        return read, weight
    used = [c for c, pieces in enumerate(read.map.channels) if pieces]
    if not used or len(used) == len(read.map.channels):
        return read, weight
    batch, _, rows, columns = read.map.output
    channels = tuple(read.map.channels[c] for c in used)
    index_map = IndexMap(read.map.sources, (batch, len(used), rows, columns), channels)
    return attrs.evolve(read, map=index_map), np.ascontiguousarray(weight[:, used])


def _lanes_read(mod: IRModule, lanes: int) -> dict[str, int]:
    """How many channels lie together in what a convolution reads, by the names of stages.

    Its kernel sums them together: see `tvm_passes.summation`.
    """
    if lanes == 1:
        return {}
    steps = Planner(mod, lanes).run().steps
    return {
        step.stage.name: step.view.extent.lanes
        for step in steps
        if isinstance(step, StageStep) and step.stage.kind == "convolution"
    }


def _is_tensor(expr: Expr) -> bool:
    return hasattr(expr.ty, "dtype") and hasattr(expr.ty, "shape")


def _attributes(node: Node) -> list[tuple[str, object]]:
    attributes = getattr(node.call, "attrs", None)
    if attributes is None:
        return []
    return [(key, getattr(attributes, key)) for key in dir(attributes) if _is_attribute(attributes, key)]


def _is_attribute(attributes: object, key: str) -> bool:
    return not key.startswith("_") and not callable(getattr(attributes, key))
