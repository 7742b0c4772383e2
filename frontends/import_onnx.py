"""From a loaded ONNX model to Relax.

The module has one function, `main`: its parameters are the model's inputs in order, everything else is
`relax.Constant`, every shape is static. It returns the output, or a tuple of the outputs in order.

TVM's own importer converts the nodes; this one drives it node by node, to evaluate nodes whose inputs
are all constant, to use the converters of `frontends.converters`, to bind every node's result to a
variable named after the node, and to say which node an error is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import attrs
import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.ir import GenericConst
from tvm.relax.frontend.onnx.onnx_frontend import ONNXGraphImporter

from frontends.advice import RANDOM_OPERATORS
from frontends.converters import CONVERTERS, Attributes, Inputs, Node, constant
from frontends.converters.node import dtype_of
from frontends.declared_types import Declared, declared_types, require_declared
from frontends.element_types import require_supported
from frontends.errors import OperatorImportError
from frontends.ignored import require_nothing_ignored
from frontends.import_notes import ImportNotes
from frontends.known_values import evaluate
from frontends.load import DEFAULT_OPTIONS, ImportOptions, load_model
from frontends.model_file import standard_opset
from frontends.names import unique_name
from frontends.narrow_codes import DOMAIN as NARROW_DOMAIN
from frontends.narrow_codes import carry_codes
from frontends.node_errors import reason_of
from frontends.operators import require_converters
from frontends.signature import Signature, static_shape
from frontends.standard_domain import STANDARD_DOMAIN
from frontends.widen import widen_halves

_COPYING_OPERATORS = frozenset({"Dropout", "Identity"})
"""Evaluating them would duplicate weights that several nodes share."""
_ONE_OUTPUT_OPERATORS = frozenset({"EmbedLayerNormalization", "LayerNormalization", "SkipLayerNormalization"})
"""For their other outputs TVM's converters return placeholders."""


@attrs.frozen
class ImportedModel:
    """A model as Relax, and where it came from.

    module:      `main`, executable as it is; see the module's docstring.
    signature:   inputs and outputs in ONNX order; `main`'s parameters have the same order.
    node_of_var: the ONNX node each bound variable of `main` was computed by, and the input each parameter is.
    onnx_model:  the same computation in plain ONNX: what other runtimes are compared on.
    """

    module: tvm.IRModule
    signature: Signature
    node_of_var: Mapping[str, str]
    onnx_model: onnx.ModelProto


def import_model(path: str | PathLike[str], options: ImportOptions = DEFAULT_OPTIONS) -> ImportedModel:
    """Import the ONNX model in `path`. Raises a `ModelError` that names the file and the node."""
    return import_loaded(load_model(path, options), str(path))


def import_loaded(model: onnx.ModelProto, file: str = "") -> ImportedModel:
    """Import what `load_model` returned. Raises a `ModelError`."""
    require_converters(model, file)
    importer = _Importer(file)
    carried = widen_halves(carry_codes(model, file))
    module = importer.from_onnx(carried.graph, standard_opset(model))
    module = relax.transform.DeadCodeElimination(["main"])(module)
    signature = importer.notes.signature(module, model.graph, file)
    inputs = {
        str(param.name): spec.name
        for param, spec in zip(module["main"].params, signature.inputs, strict=True)
    }
    return ImportedModel(module, signature, inputs | importer.node_of_var(module), model)


class _Importer(ONNXGraphImporter):
    """TVM's importer with a node loop of its own."""

    def __init__(self, file: str) -> None:
        super().__init__(shape_dict={}, dtype_dict={})
        self.file = file
        self.taken: set[str] = set()
        self.used: set[str] = set()
        self.declared: Declared = {}
        self.node_of_result: dict[str, str] = {}
        self.notes = ImportNotes()

    def node_of_var(self, module: tvm.IRModule) -> dict[str, str]:
        """A node's result is bound last, so the variables before it, back to the last result, are its too."""
        table: dict[str, str] = {}
        pending: list[str] = []
        for block in module["main"].body.blocks:
            for binding in block.bindings:
                name = str(binding.var.name)
                pending.append(name)
                source = str(binding.value.name) if isinstance(binding.value, relax.Var) else name
                node = self.node_of_result.get(name) or table.get(source)
                if node is not None:
                    table.update(dict.fromkeys(pending, node))
                    pending.clear()
        return table

    def from_onnx(self, graph: onnx.GraphProto, opset: int) -> tvm.IRModule:
        """Every value of `graph` in a function `main`, behind them how many rows outputs have if data decides
        it. Raises OperatorImportError."""
        outputs = len(graph.output)
        # TVM takes a size of 0 for an unknown one unless it is told the shape.
        self._shape = {value.name: static_shape(value) for value in graph.input}
        try:
            return super().from_onnx(graph, opset)
        except OperatorImportError:
            self.bb._end_block()  # else TVM complains, on stderr, of a builder left in the middle
            raise
        finally:
            del graph.output[outputs:]

    def _check_for_unsupported_ops(self, graph: onnx.GraphProto) -> None:
        """`require_converters` has, for the whole model at once."""

    def _sanitize_name(self, name: str) -> str:
        return self._variable_name(name)

    def _variable_name(self, name: str) -> str:
        """A new identifier that looks like `name`."""
        cleaned = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
        # A leading digit is no identifier; lv1, gv2 … are the names TVM's block builder makes up.
        stem = f"v_{cleaned}" if re.match(r"\d|[lg]v\d*$", cleaned) else cleaned
        return unique_name(stem, self.taken)

    def _construct_nodes(self, graph: onnx.GraphProto) -> None:
        self.used = {value.name for value in graph.output}.union(*(node.input for node in graph.node))
        self.used.discard("")  # an input left out
        self.declared = declared_types(graph)
        self._nodes.update({value.name: _if_empty(self._nodes[value.name]) for value in graph.input})
        for node in graph.node:
            given = self._given(node)
            try:
                results = self._results(node, given)
            except Exception as error:  # converters raise whatever comes to their mind
                reason = reason_of(error, given)
                raise OperatorImportError(reason, file=self.file, node=node.name) from error
            self._nodes.update(results)
        counts = self.notes.counts_of([value.name for value in graph.output], self.used)
        self._nodes.update(counts)  # returned behind the model's outputs
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in counts)

    def _given(self, node: onnx.NodeProto) -> Node:
        last_read = max((i for i, name in enumerate(node.output) if name in self.used), default=0)
        return Node(
            builder=self.bb,
            operator=node.op_type,
            domain=node.domain,
            opset=self.opset,
            inputs=Inputs(self._nodes[name] if name else None for name in node.input),
            attributes=Attributes.of(node),
            outputs=len(node.output),
            outputs_read=last_read + 1,
        )

    def _results(self, node: onnx.NodeProto, given: Node) -> dict[str, Any]:
        """The expressions of those outputs of `node` that anything reads, by name."""
        results = self._fold(node, given.inputs) if self._is_foldable(given) else self._convert(given)
        self.notes.take(node, given, self._inputs)
        if len(results) < given.outputs_read:
            raise ValueError(f"its output '{node.output[given.outputs_read - 1]}' is not supported")
        used = {name: r for name, r in zip(node.output, results, strict=False) if name in self.used}
        bound = {name: self._bind(node, result) for name, result in used.items()}
        for name, result in bound.items():
            require_declared(name, result, self.declared)
        return bound

    def _convert(self, node: Node) -> list[Any]:
        if node.operator in CONVERTERS and node.domain in (STANDARD_DOMAIN, NARROW_DOMAIN):
            result = CONVERTERS[node.operator](node)
            results = result if isinstance(result, list) else [result]
        else:
            results = self._convert_by_tvm(node)
        require_nothing_ignored(node)
        return results

    def _convert_by_tvm(self, node: Node) -> list[Any]:
        attributes = node.attributes
        attributes["tvm_custom"] = {"name": "", "num_outputs": node.outputs}
        results = self._unpack(self._convert_operator(node.operator, node.inputs, attributes, node.opset))
        del attributes["tvm_custom"]
        return results[:1] if node.operator in _ONE_OUTPUT_OPERATORS else results

    def _is_foldable(self, node: Node) -> bool:
        if node.domain == NARROW_DOMAIN:  # ONNX's reference does not know it
            return False
        return node.has_only_constants and node.operator not in RANDOM_OPERATORS | _COPYING_OPERATORS

    def _fold(self, node: onnx.NodeProto, inputs: list[Any]) -> list[Any]:
        values = {name: value.value.numpy() for name, value in zip(node.input, inputs, strict=True) if name}
        results = evaluate(node, self.opset, values)
        return [None if result is None else constant(result) for result in results]

    def _unpack(self, result: Any) -> list[Any]:
        if isinstance(result, relax.Tuple):
            return list(result.fields)
        if isinstance(result.ty, relax.TupleType):
            bound = self.bb.emit(result)
            return [relax.TupleGetItem(bound, index) for index in range(len(result.ty.fields))]
        return [result]

    def _bind(self, node: onnx.NodeProto, result: Any) -> Any:
        """`result` in a variable named after `node`; what is bound already, or constant, as it is."""
        result = _if_empty(self.bb.normalize(result))
        if isinstance(result, GenericConst):
            return result
        if isinstance(result.ty, relax.TensorType):
            require_supported(dtype_of(result))
        if isinstance(result, relax.Var):
            if result.name not in self.taken:  # the converter itself has bound it
                self.node_of_result.setdefault(result.name, node.name)
            return result
        bound = self.bb.emit(result, name_hint=self._variable_name(node.name))
        self.node_of_result[bound.name] = node.name
        return bound


def _if_empty(value: Any) -> Any:
    """A tensor without elements is constant, whatever it is computed from; any other value as it is.

    Of a slice that ends before it begins, Relax says a negative size.
    """
    if isinstance(value.ty, relax.TensorType) and value.ty.shape is not None:
        shape = [int(dim) if isinstance(dim, tvm.tirx.IntImm) else 1 for dim in value.ty.shape]
        if min(shape, default=1) <= 0:
            return constant(np.zeros([max(size, 0) for size in shape], dtype_of(value)))
    return value
