"""Simplification helps; a model whose simplification fails is imported all the same."""

from __future__ import annotations

import logging

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


def _drop_input(model, **_kwargs):
    del model.graph.input[:]
    return model


@pytest.mark.parametrize(
    ("slim", "reason"),
    [(_raise, "lost my way"), (_drop_input, "onnxslim changed the model's inputs from [('x', 1)] to []")],
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
