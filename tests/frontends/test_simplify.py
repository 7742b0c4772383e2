"""Simplification helps; a model whose simplification fails is imported all the same."""

from __future__ import annotations

import logging
import re

import onnx
import onnx.parser
import pytest

from frontends import load_model

SHAPE_ARITHMETIC = """<ir_version: 8, opset_import: ["": 17]>
g (float[2,3,4,4] x) => (float[2,48] y)
<int64 zero = {0}, int64[1] rest = {-1}, int64[1] ax = {0}>
{ s = Shape(x)  n = Gather(s, zero)  m = Unsqueeze(n, ax)  t = Concat<axis=0>(m, rest)
  [view] r = Reshape(x, t)  [act] y = Relu(r) }"""


def test_shape_arithmetic_disappears(save):
    nodes = load_model(save(SHAPE_ARITHMETIC)).graph.node
    assert [(node.name, node.op_type) for node in nodes] == [("view", "Reshape"), ("act", "Relu")]


def _raise(*_args, **_kwargs):
    raise RuntimeError("lost\nmy way")


def _rename_output(model, **_kwargs):
    model.graph.output[0].name = model.graph.node[-1].output[0] = "other"
    return model


@pytest.mark.parametrize(
    ("slim", "reason"),
    [(_raise, "lost my way"), (_rename_output, "the simplified model has other outputs")],
)
def test_failure_is_logged_and_survived(slim, reason, save, monkeypatch, caplog):
    monkeypatch.setattr("onnxslim.slim", slim)
    path = save(SHAPE_ARITHMETIC)
    with caplog.at_level(logging.WARNING, logger="frontends"):
        model = load_model(path)
    assert [record.message for record in caplog.records] == [
        f"{path}: imported without simplification: {reason}"
    ]
    assert [node.op_type for node in model.graph.node][-2:] == ["Reshape", "Relu"]
    onnx.checker.check_model(model)


INTERFACES = {
    "an input that nothing reads": (
        "g (float[2,3] x, float[4] unused) => (float[6] y)",
        "y = Reshape(x, t)",
    ),
    "an output that is a constant": ("g (float[2,3] x) => (int64[1] t, float[6] y)", "y = Reshape(x, t)"),
    "an output that is an input": ("g (float[2,3] x) => (float[2,3] x, float[6] y)", "y = Reshape(x, t)"),
    "an output of no shape, which nobody infers": (
        "g (float[2,3] x) => (float[] y)",
        "z = Reshape(x, t)  y = com.microsoft.FastGelu(z)",
    ),
}


@pytest.mark.parametrize("name", INTERFACES)
def test_inputs_and_outputs_do_not_keep_a_model_from_being_simplified(name, save, caplog):
    interface, last = INTERFACES[name]
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
        {interface} <int64 zero = {{0}}, int64 one = {{1}}, int64[1] ax = {{0}}>
        {{ s = Shape(x)  a = Gather(s, zero)  b = Gather(s, one)  c = Mul(a, b)  t = Unsqueeze(c, ax)
           {last} }}""")
    if "no shape" in name:
        model.graph.output[0].type.tensor_type.ClearField("shape")
    simplified = load_model(save(model))
    assert caplog.records == []
    assert [node.op_type for node in simplified.graph.node] == [*re.findall(r"[A-Z]\w+(?=\()", last)]
    assert [value.name for value in simplified.graph.input] == [value.name for value in model.graph.input]
    assert [value.name for value in simplified.graph.output] == [value.name for value in model.graph.output]
