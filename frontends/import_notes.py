"""What is learnt of inputs and outputs while nodes are converted: limits, and sizes that data decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import onnx
import tvm
from tvm import relax

from frontends.caller_limits import CallerLimits
from frontends.converters.node import Counted, Expr, Node
from frontends.data_dependent import carried
from frontends.errors import DynamicShapeError
from frontends.names import unique_name
from frontends.narrow_types import NARROW
from frontends.signature import Signature, TensorSpec, tensor_specs


class ImportNotes:
    """Notes on the values of one graph, by their names in the model."""

    def __init__(self) -> None:
        self._limits = CallerLimits()
        self._counted: dict[str, Counted] = {}

    def take(self, proto: onnx.NodeProto, node: Node, parameters: Mapping[str, Expr]) -> None:
        """What the converter of `node` said, and what follows from its inputs.

        parameters: the variables of the model's inputs. Raises ValueError for an operator that cannot follow
        one whose size depends on data.
        """
        names = {variable: name for name, variable in parameters.items()}
        for expr, limits in node.limits:
            self._limits.add(node.builder, names, expr, limits)
        before = {i: self._counted[name] for i, name in enumerate(proto.input) if name in self._counted}
        made = carried(node, before) if before else node.counted
        self._counted.update((name, made[i]) for i, name in enumerate(proto.output) if i in made)

    def counts_of(self, outputs: Iterable[str], taken: Iterable[str]) -> dict[str, Expr]:
        """How many rows each output has whose size depends on data, by new names for these numbers."""
        names = set(taken)
        counts = {}
        for output in outputs:
            if output in self._counted:
                name = unique_name(f"{output}_rows", names)
                counts[name] = self._counted[output].count
        return counts

    def signature(self, module: tvm.IRModule, graph: onnx.GraphProto, file: str) -> Signature:
        """Inputs from the graph; outputs from the imported function, since ONNX's own shape inference leaves
        gaps that Relax does not. Raises DynamicShapeError."""
        inputs = (
            attrs.evolve(spec, limits=self._limits.of(spec.name)) for spec in tensor_specs(graph.input, file)
        )
        returned = module["main"].ret_ty
        types = [returned] if isinstance(returned, relax.TensorType) else list(returned.fields)
        outputs = zip(graph.output, types, strict=False)  # numbers of rows come behind
        return Signature(tuple(inputs), tuple(self._output(value, ty, file) for value, ty in outputs))

    def _output(self, value: onnx.ValueInfoProto, tensor: Any, file: str) -> TensorSpec:
        name = value.name
        if tensor.shape is None or not all(isinstance(dim, tvm.tirx.IntImm) for dim in tensor.shape):
            raise DynamicShapeError(f"the shape of output '{name}' depends on data", file=file)
        axis = self._counted[name].axis if name in self._counted else None
        narrow = NARROW.get(value.type.tensor_type.elem_type)
        dtype = str(tensor.dtype) if narrow is None else narrow.name  # programs return codes
        return TensorSpec(name, tuple(int(dim) for dim in tensor.shape), dtype, counted_axis=axis)
