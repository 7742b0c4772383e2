"""ONNX's node suite: its tensor-only cases, as they are and with shape-like inputs bound as constants."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

BOUND = "+bound"
"""Ends the name of a case whose shape-like inputs are constants."""

_SHAPE_LIKE = frozenset(
    {
        "axes",
        "axis",
        "block_shape",
        "cond",
        "constant_value",
        "delta",
        "depth",
        "dft_length",
        "ends",
        "frame_length",
        "frame_step",
        "image_shape",
        "iou_threshold",
        "k",
        "limit",
        "max",
        "max_output_boxes_per_class",
        "min",
        "output_shape",
        "pads",
        "ratio",
        "repeats",
        "roi",
        "scales",
        "score_threshold",
        "shape",
        "size",
        "sizes",
        "split",
        "start",
        "starts",
        "steps",
        "training_mode",
        "x_scale",
        "x_zero_point",
        "y_scale",
        "y_zero_point",
        "a_scale",
        "a_zero_point",
        "b_scale",
        "b_zero_point",
    }
)
"""Formal names of inputs that exporters write as constants, whatever the operator."""
_SHAPE_LIKE_OF_ONE = frozenset({("TopK", "K"), ("Loop", "M"), ("ConstantOfShape", "input")})

_EXPANDED = "_expanded"


@attrs.frozen(eq=False)
class Case:
    """A model, what it is given and what it must return, within rtol and atol."""

    name: str
    model: onnx.ModelProto
    inputs: Mapping[str, NDArray[np.generic]]
    outputs: Mapping[str, NDArray[np.generic]]
    rtol: float
    atol: float

    def write(self, folder: Path) -> None:
        """Into `folder`: `model.onnx`, and each tensor as a file, which keeps types that .npz loses."""
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(self.model, folder / "model.onnx")
        for kind, arrays in (("in", self.inputs), ("out", self.outputs)):
            tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
            for index, tensor in enumerate(tensors):
                (folder / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString())


def read_arrays(folder: Path, kind: str) -> dict[str, NDArray[np.generic]]:
    """What `Case.write` wrote of the inputs ("in") or outputs ("out")."""
    arrays = {}
    for path in folder.glob(f"{kind}_*.pb"):
        tensor = onnx.TensorProto.FromString(path.read_bytes())
        arrays[tensor.name] = numpy_helper.to_array(tensor)
    return arrays


def collect() -> list[Case]:
    """Every tensor-only case, in order of names; a case with shape-like inputs twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite overflows and divides by zero on purpose
        from onnx.backend.test.case.node import collect_testcases

        collected = collect_testcases(None)
    tensor_only = {case.name: case for case in collected if _is_tensor_only(case)}
    names = {name: _shape_like(case.model) for name, case in tensor_only.items()}
    return sorted(_cases(tensor_only, names), key=lambda case: case.name)


def _cases(collected: Mapping[str, object], names: Mapping[str, frozenset[str]]) -> Iterator[Case]:
    for name, test in collected.items():
        inputs, outputs = test.data_sets[0]  # type: ignore[attr-defined]
        model = test.model  # type: ignore[attr-defined]
        case = Case(
            name,
            model,
            _named(model.graph.input, inputs),
            _named(model.graph.output, outputs),
            test.rtol,  # type: ignore[attr-defined]
            test.atol,  # type: ignore[attr-defined]
        )
        yield case
        # The expansion of a case has the inputs of the case under the same names.
        bound = names.get(name.partition(_EXPANDED)[0], frozenset()) & case.inputs.keys()
        if bound:
            yield _with_constants(case, bound)


def _named(
    values: Iterable[onnx.ValueInfoProto], arrays: Iterable[NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    return {value.name: _array(data) for value, data in zip(values, arrays, strict=True)}


def _array(data: object) -> NDArray[np.generic]:
    """The suite holds tensors of types that numpy lacks as protos."""
    return numpy_helper.to_array(data) if isinstance(data, onnx.TensorProto) else np.asarray(data)


def _is_tensor_only(test: object) -> bool:
    values = [*test.model.graph.input, *test.model.graph.output]  # type: ignore[attr-defined]
    arrays = [array for side in test.data_sets[0] for array in side]  # type: ignore[attr-defined]
    return all(isinstance(array, np.ndarray | np.generic | onnx.TensorProto) for array in arrays) and all(
        value.type.HasField("tensor_type") and value.type.tensor_type.elem_type != onnx.TensorProto.STRING
        for value in values
    )


def _shape_like(model: onnx.ModelProto) -> frozenset[str]:
    """Inputs of the model that some node takes under a formal name of the kind."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    found = set()
    for node in model.graph.node:
        if node.domain not in versions or not onnx.defs.has(node.op_type, node.domain):
            continue
        formal = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain).inputs
        for index, name in enumerate(node.input):
            parameter = formal[min(index, len(formal) - 1)].name
            if parameter in _SHAPE_LIKE or (node.op_type, parameter) in _SHAPE_LIKE_OF_ONE:
                found.add(name)
    return frozenset(found & {value.name for value in model.graph.input})


def _with_constants(case: Case, names: frozenset[str]) -> Case:
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    left = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(left)
    model.graph.initializer.extend(numpy_helper.from_array(case.inputs[name], name) for name in sorted(names))
    inputs = {name: array for name, array in case.inputs.items() if name not in names}
    return attrs.evolve(case, name=case.name + BOUND, model=model, inputs=inputs)
