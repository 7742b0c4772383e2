"""The smallest case that still fails: fewer outputs, fewer nodes, a simpler plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import attrs
import onnx
from onnx import TensorProto, helper

from tests.fuzz.case import Case, Plan


def shrunk(case: Case, fails: Callable[[Case], bool], seconds: float) -> Case:
    """A case that fails and that no single step makes smaller, or as far as the time goes.

    fails: whether a case still fails; cases that cannot be judged do not.
    """
    deadline = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(case):
            if time.monotonic() > deadline:
                return case
            if fails(candidate):
                case, smaller = candidate, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    for plan in _simpler_plans(case.plan):
        yield attrs.evolve(case, plan=plan)
    for model in _smaller_models(case.model):
        yield attrs.evolve(case, model=model)


def _simpler_plans(plan: Plan) -> Iterator[Plan]:
    plain = Plan(cpu=plan.cpu)
    for field in attrs.fields(Plan):
        if getattr(plan, field.name) != getattr(plain, field.name):
            yield attrs.evolve(plan, **{field.name: getattr(plain, field.name)})


def _smaller_models(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {v.name: v for v in [*graph.input, *graph.value_info, *graph.output]}
    outputs = [value.name for value in model.graph.output]
    computed = [name for node in model.graph.node for name in node.output]
    for name in computed:  # one output, the earlier the better
        if name in known and [name] != outputs:
            yield _kept(model, known, [name], ())
    for name in outputs if len(outputs) > 1 else ():
        yield _kept(model, known, [n for n in outputs if n != name], ())
    for name in reversed(computed):  # what was computed becomes an input
        if name in known and name not in outputs:
            yield _kept(model, known, outputs, {name})
    for number, node in enumerate(model.graph.node):  # a node is left out
        for source in node.input:
            if source in known and len(node.output) == 1 and _same_type(known, source, node.output[0]):
                yield _without(model, known, number, source)


def _same_type(known: dict[str, onnx.ValueInfoProto], one: str, other: str) -> bool:
    return other in known and known[one].type == known[other].type


def _without(
    model: onnx.ModelProto, known: dict[str, onnx.ValueInfoProto], number: int, source: str
) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (result,) = copy.graph.node[number].output
    del copy.graph.node[number]
    for node in copy.graph.node:
        node.input[:] = [source if name == result else name for name in node.input]
    outputs = [source if value.name == result else value.name for value in model.graph.output]
    computed = {name for node in copy.graph.node for name in node.output}
    return _kept(copy, known, [name for name in dict.fromkeys(outputs) if name in computed], ())


def _kept(
    model: onnx.ModelProto,
    known: dict[str, onnx.ValueInfoProto],
    outputs: list[str],
    given: Iterable[str],
) -> onnx.ModelProto:
    """What these outputs need of the model, some of its values given as inputs."""
    needed, nodes, given = set(outputs), [], set(given)
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) - given:
            nodes.append(node)
            needed.update(node.input)
    nodes.reverse()
    weights = [w for w in model.graph.initializer if w.name in needed]
    computed = {name for node in nodes for name in node.output}
    inputs = [
        known[name]
        for name in known
        if name in needed and name not in computed and name not in {w.name for w in weights}
    ]
    graph = helper.make_graph(nodes, model.graph.name, inputs, [_float(known[n]) for n in outputs], weights)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _float(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape)
