"""Operators that ONNX defines by others are written out, unless a converter takes them as they are."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

from frontends import load_model

MODELS = {
    "celu_of_a_celu": (
        12,
        "g (float[2,3] x) => (float[2,3] y) { a = Celu<alpha=2.0>(x)  y = Celu(a) }",
    ),
    "celu_by_a_function_alone": (28, "g (float[2,3] x) => (float[2,3] y) { y = Celu(x) }"),
    "defaults_and_a_missing_input": (
        21,
        """g (float[2,3] x) => (float z) <int64[2] t = {0, 2}>
        { z = SoftmaxCrossEntropyLoss(x, t) }""",
    ),
    "a_body_for_an_older_opset": (21, "g () => (float[5] y) <int64 n = {5}> { y = HannWindow(n) }"),
    "depends_on_types": (
        21,
        """g (float[1,2,6,4] x) => (float[1,2,3,4] y) <int64[2] s = {3, 4}>
        { y = CenterCropPad<axes=[2,3]>(x, s) }""",
    ),
}


def model_of(opset, text):
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_out_computes_the_same(name, save):
    model = model_of(*MODELS[name])
    written_out = load_model(save(model))
    operators = {node.op_type for node in model.graph.node}
    assert operators.isdisjoint(node.op_type for node in written_out.graph.node)
    generator = np.random.default_rng(0)
    inputs = {
        value.name: generator.standard_normal([d.dim_value for d in value.type.tensor_type.shape.dim]).astype(
            "f4"
        )
        for value in model.graph.input
    }
    expected = ReferenceEvaluator(model).run(None, inputs)
    actual = ReferenceEvaluator(written_out).run(None, inputs)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-6, atol=1e-7)


def test_nodes_of_a_body_are_named_after_the_node_it_defines(save):
    model = model_of(12, "g (float[2] x) => (float[2] y) { y = Celu<alpha=2.0>(x) }")
    model.graph.node[0].name = "act"
    names = [node.name for node in load_model(save(model)).graph.node]
    assert names[-1] == "act"
    assert all(name.startswith("act/") for name in names[:-1])


def test_an_operator_with_a_converter_stays(save):
    text = "g (float[2,3] x) => (float[2,3] y) { y = Elu(x) }"
    assert [node.op_type for node in load_model(save(model_of(18, text))).graph.node] == ["Elu"]


def test_a_loop_in_a_body_is_written_out(save):
    text = """g (float[1,2,4] q, float[1,2,4] k, float[1,2,4] v) => (float[1,2,4] y, float[1,1,4,4] s)
    { y, s = LinearAttention<q_num_heads=1, kv_num_heads=1, update_rule="linear">(q, k, v) }"""
    nodes = load_model(save(model_of(27, text))).graph.node
    assert "Scan" not in {node.op_type for node in nodes}
    assert sum(node.name.startswith("LinearAttention_0/Scan/1/") for node in nodes) > 0


@pytest.mark.parametrize("imports", ['"": 12, "ai.onnx": 17', '"ai.onnx": 17'])
def test_both_names_of_the_standard_domain_are_one(imports, save):
    text = "g (float[2,3] x) => (float[2,3] y) { a = ai.onnx.Relu(x)  y = Softmax<axis=-1>(a) }"
    model = load_model(save(f"<ir_version: 8, opset_import: [{imports}]> {text}"))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert [(node.domain, node.op_type) for node in model.graph.node] == [("", "Relu"), ("", "Softmax")]
