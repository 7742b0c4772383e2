"""Imported models compute what onnxruntime computes on the file as it was."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper, numpy_helper
from tvm import relax

from frontends import ImportOptions, import_model
from tests.frontends.model_texts import HEADERS, MODELS, model_text


@pytest.mark.parametrize(
    ("name", "opset"), [(name, opset) for name, (opsets, _) in MODELS.items() for opset in opsets]
)
@pytest.mark.parametrize("simplified", [True, False], ids=["onnxslim", "plain"])
def test_matches_onnxruntime(
    name, opset, simplified, save, run_tvm, run_onnxruntime, random_inputs, monkeypatch
):
    model = model_text(name, opset)
    if not simplified:
        monkeypatch.setattr("onnxslim.slim", _failing_slim)
    imported = import_model(save(model))
    inputs = random_inputs(imported)
    expected = run_onnxruntime(model, inputs)
    computed = run_tvm(imported, inputs)
    assert [spec.shape for spec in imported.signature.outputs] == [output.shape for output in expected]
    for ours, theirs, plain in zip(
        computed, expected, run_onnxruntime(imported.onnx_model, inputs), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(plain, theirs, rtol=1e-5, atol=1e-5)


def _failing_slim(*_args, **_kwargs):
    raise RuntimeError("no simplifier today")


def test_main_takes_the_inputs_only(save):
    imported = import_model(save(model_text("conv_bias_relu", 9)))
    assert [parameter.name for parameter in imported.module["main"].params] == ["x"]
    assert [spec.name for spec in imported.signature.inputs] == ["x"]
    assert imported.signature.inputs[0].dtype == "float32"


def test_data_movement_becomes_relax_operators(save):
    """No opaque kernel: passes read operators."""
    for name in ("pad_old", "clip", "tile", "conv_same_upper", "sum_broadcasts", "einsum_trace"):
        imported = import_model(save(model_text(name, MODELS[name][0][0])))
        assert [str(function) for function in imported.module.functions] == ['I.GlobalVar("main")'], name


def test_every_variable_knows_its_node(save):
    model = model_text("conv_bias_relu", 13)
    model.graph.node[0].name = "/stem/Conv"
    old, new = model.graph.input[0].name, "1 image"  # no identifier
    model.graph.input[0].name = new
    model.graph.node[0].input[:] = [new if name == old else name for name in model.graph.node[0].input]
    imported = import_model(save(model))
    nodes = {node.name for node in imported.onnx_model.graph.node}
    assert nodes == {"/stem/Conv", "Relu_1"}
    bindings = [binding for block in imported.module["main"].body.blocks for binding in block.bindings]
    named = {binding.var.name: binding.value for binding in bindings}
    (parameter,) = (param.name for param in imported.module["main"].params)
    assert set(imported.node_of_var) == {*named, parameter}
    assert imported.node_of_var[parameter] == new
    assert {imported.node_of_var[var] for var in named} == nodes
    convolution = next(var for var, value in named.items() if _is_call(value, "relax.nn.conv2d"))
    assert imported.node_of_var[convolution] == "/stem/Conv"
    assert imported.node_of_var["_stem_Conv"] == "/stem/Conv"


@pytest.mark.parametrize("simplified", [True, False], ids=["onnxslim", "plain"])
def test_constants_are_evaluated(simplified, save, monkeypatch):
    if not simplified:
        monkeypatch.setattr("onnxslim.slim", _failing_slim)
    imported = import_model(save(model_text("all_constant", 13)))
    calls = [
        binding.value.op.name
        for block in imported.module["main"].body.blocks
        for binding in block.bindings
        if isinstance(binding.value, relax.Call)
    ]
    assert calls == ["relax.multiply"]


def _is_call(value: relax.Expr, operator: str) -> bool:
    return isinstance(value, relax.Call) and getattr(value.op, "name", "") == operator


def test_nodes_with_one_name_are_told_apart(save):
    model = onnx.parser.parse_model(
        HEADERS[13] + "g (float[2] x) => (float[2] y) { a = Relu(x)  b = Sigmoid(a)  y = Tanh(b) }"
    )
    for node in model.graph.node:
        node.name = "layer"
    names = [node.name for node in import_model(save(model)).onnx_model.graph.node]
    assert names == ["layer", "layer_2", "layer_3"]


def test_initializers_are_no_inputs(save, run_tvm, run_onnxruntime):
    model = model_text("gemm", 13)
    model.ir_version = 3
    model.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    )
    imported = import_model(save(model))
    assert [spec.name for spec in imported.signature.inputs] == ["x"]
    x = {"x": np.ones((2, 3), np.float32)}
    np.testing.assert_allclose(run_tvm(imported, x)[0], run_onnxruntime(model, x)[0], rtol=1e-5)


def test_model_local_functions_are_inlined(save, run_tvm):
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[2,3] x) => (float[2,3] y) { a = local.scaled <factor = 3.0> (x)  y = local.scaled(a) }
        <domain: "local", opset_import: ["": 17]>
        scaled <factor: float = 2.0> (v) => (w)
        { f = Constant <value_float: float = @factor> ()  p = Mul(v, f)  w = Relu(p) }
    """)
    imported = import_model(save(model))
    x = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)
    np.testing.assert_allclose(run_tvm(imported, {"x": x})[0], 6 * np.maximum(x, 0))
    assert {node.domain for node in imported.onnx_model.graph.node} == {""}


def test_symbolic_batch_is_pinned(save, run_tvm, run_onnxruntime, random_inputs):
    model = onnx.parser.parse_model(
        HEADERS[13]
        + """g (float[N,3,4,4] x) => (float[N,M] y)
        <int64 zero = {0}, int64[1] rest = {-1}, int64[1] ax = {0}>
        { s = Shape(x)  n = Gather(s, zero)  m = Unsqueeze(n, ax)  t = Concat<axis=0>(m, rest)
          y = Reshape(x, t) }"""
    )
    imported = import_model(save(model), ImportOptions(input_shapes={"x": (5, 3, 4, 4)}))
    assert imported.signature.outputs[0].shape == (5, 48)
    inputs = random_inputs(imported)
    np.testing.assert_array_equal(run_tvm(imported, inputs)[0], run_onnxruntime(model, inputs)[0])


def test_large_weights_survive_the_rewriting(save, run_tvm, run_onnxruntime, random_inputs):
    """Weights are taken out of the graph while it is checked, converted and simplified."""
    model = onnx.parser.parse_model(
        HEADERS[11]
        + """g (float[2,64] x) => (float[2,64] y) <float[64,64] w, float[64,64] unused>
        { t = Transpose<perm=[1,0]>(w)  a = MatMul(x, t)  y = MatMul(a, w) }"""
    )
    values = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name in ("w", "unused"))
    imported = import_model(save(model))
    assert "unused" not in {tensor.name for tensor in imported.onnx_model.graph.initializer}
    inputs = random_inputs(imported)
    np.testing.assert_allclose(run_tvm(imported, inputs)[0], run_onnxruntime(model, inputs)[0], rtol=1e-4)


@pytest.mark.parametrize(("opset", "axis"), [(7, 1), (11, 2), (11, -3), (12, 0), (13, 1), (13, -1)])
def test_hardmax_of_all_elements_from_the_axis_on_before_opset_13(
    opset, axis, save, run_tvm, run_onnxruntime
):
    model = onnx.parser.parse_model(f"""<ir_version: 4, opset_import: ["": {opset}]>
        g (float[2,3,4] x) => (float[2,3,4] y) {{ y = Hardmax<axis={axis}>(x) }}""")
    imported = import_model(save(model))
    x = {"x": np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)}
    np.testing.assert_array_equal(run_tvm(imported, x)[0], run_onnxruntime(model, x)[0])


@pytest.mark.parametrize("mode", ["half_pixel", "output_half_pixel"])
def test_regions_lie_where_onnx_has_them(mode, save, run_tvm, run_onnxruntime):
    """Half a pixel of the data, whatever the scale of the regions."""
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 16]>
        g (float[2,3,8,8] x, float[3,4] r, int64[3] n) => (float[3,3,2,3] y)
        {{ y = RoiAlign<coordinate_transformation_mode="{mode}", output_height=2, output_width=3,
                        sampling_ratio=2, spatial_scale=0.25>(x, r, n) }}""")
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 16, (3, 2))
    inputs = {
        "x": generator.standard_normal((2, 3, 8, 8)).astype(np.float32),
        "r": np.concatenate([corners, corners + generator.uniform(4, 14, (3, 2))], 1).astype(np.float32),
        "n": np.array([0, 1, 1]),
    }
    expected = run_onnxruntime(model, inputs)[0]
    np.testing.assert_allclose(run_tvm(import_model(save(model)), inputs)[0], expected, rtol=1e-5, atol=1e-6)
