"""If, Loop and Scan of a known course become ordinary nodes; all others are refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from frontends import import_model, load_model
from frontends.errors import UnsupportedOperatorError

IF = """g (float[2,3] x) => (float[2,3] y) <bool c = {%d}>
{ y = If(c) <then_branch = t () => (float[2,3] p) { p = Neg(x) },
             else_branch = e () => (float[2,3] q) <float two = {2}> { a = Mul(x, two)  q = Add(a, a) }> }"""
LOOP = """g (float[2] x, float[2] step) => (float[2] last, float[4,2] all) <int64 n = {4}, bool go = {1}>
{ last, all = Loop(n, go, x) <body = b (int64 i, bool c, float[2] v) => (bool d, float[2] w, float[2] s)
    { d = Identity(c)  k = Cast<to=1>(i)  t = Mul(step, k)  w = Add(v, t)  s = Mul(w, v) }> }"""
NESTED = """g (float[2] x) => (float[2] y) <int64 n = {3}, bool go = {1}>
{ y = Loop(n, go, x) <body = b (int64 i, bool c, float[2] v) => (bool c, float[2] w)
    { w = If(c) <then_branch = t () => (float[2] p) { p = Add(v, x) },
                 else_branch = e () => (float[2] q) { q = Identity(v) }> }> }"""
SCAN = """g (float[2] x, float[3,4,2] z) => (float[2] last, float[2,4] all)
{ last, all = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1],
                   scan_output_axes=[-1], scan_output_directions=[%d],
    body = b (float[2] v, float[3,2] s) => (float[2] w, float[2] o)
    { m = ReduceMean<axes=[0], keepdims=0>(s)  w = Sub(m, v)  o = Neg(w) }>(x, z) }"""
SHAPE_DECIDES = """g (float[2,3] x) => (float[2,3] y) <int64 axis = {1}, int64 three = {3}>
{ s = Shape(x)  n = Gather(s, axis)  c = Equal(n, three)
  y = If(c) <then_branch = t () => (float[2,3] p) { p = Neg(x) },
             else_branch = e () => (float[2,3] q) { q = Relu(x) }> }"""
FUNCTION_INSIDE = """g (float[2] x) => (float[2] y) <int64 n = {2}>
{ y = Loop(n, , x) <body = b (int64 i, bool c, float[2] v) => (bool c, float[2] w) { w = Celu(v) }> }"""

MODELS = {
    "then": IF % 1,
    "else": IF % 0,
    "loop": LOOP,
    "nested": NESTED,
    "scan": SCAN % 0,
    "scan_backwards": SCAN % 1,
    "shape_decides": SHAPE_DECIDES,
    "function_inside": FUNCTION_INSIDE,
}


def model_of(text):
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_out_computes_the_same(name, save, run_onnxruntime):
    model = model_of(MODELS[name])
    written_out = load_model(save(model))
    assert not {"If", "Loop", "Scan"} & {node.op_type for node in written_out.graph.node}
    generator = np.random.default_rng(0)
    inputs = {
        value.name: generator.standard_normal(
            [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in model.graph.input
    }
    for got, want in zip(run_onnxruntime(written_out, inputs), run_onnxruntime(model, inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_names_say_which_iteration(save):
    nodes = load_model(save(model_of(LOOP))).graph.node
    assert [node.name for node in nodes if node.op_type == "Add"][:2] == ["Loop_0/0/Add", "Loop_0/1/Add"]


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        (IF.replace("(float[2,3] x)", "(float[2,3] x, bool c)").replace("<bool c = {%d}>", ""), "If"),
        (LOOP.replace("float[2] step)", "float[2] step, int64 n)").replace("int64 n = {4}, ", ""), "Loop"),
        (LOOP.replace("d = Identity(c)", "z = ReduceSum<keepdims=0>(v)  d = Cast<to=9>(z)"), "Loop"),
        (LOOP.replace("n = {4}", "n = {100000}").replace("float[4,2]", "float[100000,2]"), "Loop"),
    ],
)
def test_a_course_that_depends_on_data_or_is_too_long_is_refused(text, operator, save):
    path = save(model_of(text))
    with pytest.raises(UnsupportedOperatorError) as raised:
        import_model(path)
    assert raised.value.operators == ((operator, (f"{operator}_0",)),)
    assert str(raised.value).endswith(
        "export the model with constant conditions and counts, so that there is one flow of control"
    )
