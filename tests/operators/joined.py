"""Many single-node models joined in one, so that one compilation serves all of them.

A case is a node with arrays for its inputs. What it should compute comes from onnxruntime, run without
optimisation on the node alone, or from ONNX's reference evaluator where onnxruntime lacks the type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import shiftc
from shiftc.driver import compile_model
from shiftc.options import CompileOptions, ModelOptions

Array = np.ndarray
TOLERANCES = {"bfloat16": 8e-3, "float16": 1e-3, "float32": 1e-5, "float64": 1e-6}
"""Of the larger of one and the expected magnitude."""
IR_VERSION = 10


@attrs.frozen(eq=False)
class Case:
    """One node.

    inputs:   arrays; None where an input is left out.
    constant: which inputs are initializers of the model, the others are the caller's.
    outputs:  how many outputs are compared.
    judge:    "any": onnxruntime, else the reference evaluator; "reference": the latter only.
    """

    name: str
    operator: str
    inputs: Sequence[Array | None]
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    constant: tuple[int, ...] = ()
    outputs: int = 1
    opset: int = 21
    judge: str = "any"
    tolerance: float | None = None
    expected: Sequence[Array] | None = None

    def __str__(self) -> str:
        return self.name


def model_of(cases: Iterable[Case], opset: int) -> onnx.ModelProto:
    """One model of all cases; input i of case k is `k:i`, output j is `k=j`."""
    nodes, inputs, outputs, weights = [], [], [], []
    for number, case in enumerate(cases):
        names = []
        for index, array in enumerate(case.inputs):
            name = f"{number}_in{index}" if array is not None else ""
            names.append(name)
            if array is None:
                continue
            if index in case.constant:
                weights.append(numpy_helper.from_array(array, name))
            else:
                element = helper.np_dtype_to_tensor_dtype(array.dtype)
                inputs.append(helper.make_tensor_value_info(name, element, array.shape))
        results = [f"{number}_out{index}" for index in range(case.outputs)]
        nodes.append(helper.make_node(case.operator, names, results, f"node{number}", **case.attributes))
        outputs += [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph(nodes, "joined", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
    inferred = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.output}
    for value in graph.output:
        value.CopyFrom(inferred[value.name])
    del model.graph.output[:]
    model.graph.output.extend(graph.output)
    return model


def given_to(cases: Iterable[Case]) -> dict[str, Array]:
    """The caller's arrays for `model_of(cases)`."""
    return {
        f"{number}_in{index}": array
        for number, case in enumerate(cases)
        for index, array in enumerate(case.inputs)
        if array is not None and index not in case.constant
    }


def expected_of(case: Case) -> list[Array]:
    """What the node should compute."""
    if case.expected is not None:
        return list(case.expected)
    model, given = model_of([case], case.opset), given_to([case])
    if case.judge == "any":
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), options)
            return [np.asarray(value) for value in session.run(None, given)]
        except Exception:  # it has classes of its own for every reason it may not take a model
            pass
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, given)]


def run_joined(cases: Sequence[Case], folder: Path) -> list[list[Array]]:
    """The outputs of every case, compiled together."""
    opsets = {case.opset for case in cases}
    assert len(opsets) == 1, "cases of one opset at a time"
    onnx.save(model_of(cases, opsets.pop()), folder / "model.onnx")
    compile_model(CompileOptions(ModelOptions(folder / "model.onnx"), folder / "artifact"))
    found = shiftc.load(folder / "artifact").run(given_to(cases))
    return [
        [found[f"{number}_out{index}"] for index in range(case.outputs)] for number, case in enumerate(cases)
    ]


def difference(case: Case, found: Sequence[Array]) -> str | None:
    """What is wrong with the outputs of a case, or None."""
    for index, (want, got) in enumerate(zip(expected_of(case), found, strict=True)):
        if (want.shape, want.dtype) != (got.shape, got.dtype):
            return f"output {index} is {got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
        tolerance = case.tolerance or TOLERANCES.get(str(want.dtype), 0)
        wanted, gotten = (values.astype(np.float64) for values in (want, got))
        if not tolerance:
            wrong = want != got
        else:
            with np.errstate(all="ignore"):
                same = (wanted == gotten) | (np.isnan(wanted) & np.isnan(gotten))
                wrong = ~same & ~(np.abs(wanted - gotten) <= tolerance * np.maximum(1, np.abs(wanted)))
        if wrong.any():
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
            return (
                f"output {index} at {where} is {got[where]!r}, expected {want[where]!r}; "
                f"{int(wrong.sum())} of {wrong.size} differ"
            )
    return None
