"""Every bad model has its error, of one line, that names the file and what is wrong."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from frontends import ModelError, import_model
from frontends.converters import CONVERTERS
from frontends.errors import (
    InvalidModelError,
    ModelFileError,
    ModelTooNewError,
    NotOnnxError,
    OperatorImportError,
    OpsetConversionError,
    ShapeInferenceError,
    TruncatedModelError,
    UnknownOpsetError,
    UnsupportedOperatorError,
    UnsupportedTypeError,
)

GOOD = """<ir_version: 8, opset_import: ["": 17]> g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }"""


def error_of(path, kind):
    with pytest.raises(ModelError) as raised:
        import_model(path)
    assert type(raised.value) is kind
    assert raised.value.file == str(path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_absent_file(tmp_path):
    assert error_of(tmp_path / "no.onnx", ModelFileError) == "cannot be read: No such file or directory"


def test_folder(tmp_path):
    assert error_of(tmp_path, ModelFileError) == "cannot be read: Is a directory"


def test_empty_file(tmp_path):
    path = tmp_path / "empty.onnx"
    path.touch()
    assert error_of(path, NotOnnxError) == "the file is empty"


@pytest.mark.parametrize(
    "content", [b"hello, world\n" * 20, bytes(range(256)), b"PK\x03\x04" + bytes(100), b"\x08\x08"]
)
def test_not_onnx(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert error_of(path, NotOnnxError).startswith("not an ONNX model")


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.5, 0.9, 0.99])
def test_truncated(kept, save):
    model = onnx.parser.parse_model(GOOD)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((30, 30), np.float32), "w"))
    path = save(model)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    assert error_of(path, TruncatedModelError) == "truncated: the model goes on after the file's end"


def test_unknown_opset(save):
    model = onnx.parser.parse_model(GOOD)
    model.opset_import[0].version = 999
    newest = onnx.defs.onnx_opset_version()
    assert error_of(save(model), UnknownOpsetError) == (
        f"the model uses opset 999; onnx {onnx.__version__} knows opsets 1 to {newest}"
    )


def test_too_new(save):
    model = onnx.parser.parse_model(GOOD)
    model.ir_version = 99
    assert error_of(save(model), ModelTooNewError) == (
        f"the model has ONNX IR version 99; onnx {onnx.__version__} reads versions up to {onnx.IR_VERSION}"
    )


def test_invalid_model(save):
    model = onnx.parser.parse_model(GOOD)
    model.graph.node[0].input[0] = "nobody"
    message = error_of(save(model), InvalidModelError)
    assert message.startswith("invalid ONNX model: ")
    assert "nobody" in message


def test_an_output_named_twice(save):
    text = GOOD.replace("(float[2,3] y)", "(float[2,3] y, float[2,3] y)")
    assert "'y' is an output twice" in error_of(save(text), InvalidModelError)


def test_shapes_that_clash(save):
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,3] x, float[4,5] z) => (float[2,5] y) { y = MatMul(x, z) }"""
    assert error_of(save(model), ShapeInferenceError).startswith(
        "node 'MatMul_0': shapes do not fit together: MatMul: "
    )


def test_sequence_input(save):
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (seq(float[2,3]) x) => (float[2,3] y)
        { zero = Constant<value_int = 0>()  y = SequenceAt(x, zero) }"""
    assert error_of(save(model), UnsupportedTypeError) == "'x' is not a tensor of numbers"


def test_sparse_weight(save):
    model = onnx.parser.parse_model(GOOD.replace("Relu(x)", "Add(x, w)"))
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [2, 3]))
    assert error_of(save(model), UnsupportedTypeError) == "weight 'w' is sparse, which is not supported"


def test_attribute_of_another_opset(save):
    model = """<ir_version: 4, opset_import: ["": 8]>
        g (float[1,1,2,2] x) => (float[1,1,4,4] y)
        { y = Upsample<mode="nearest", scales=[1.0,1.0,2.0,2.0], width_scale=2.0>(x) }"""
    message = error_of(save(model), InvalidModelError)
    assert "width_scale" in message


def test_unsupported_operators_are_all_listed(save):
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["": 17, "acme": 1]>
        g (float[1,3,4,4] x) => (float[1,3,4,4] y) {
          a = acme.Wobble(x)  b = Relu(a)  c = acme.Wobble(b)  d = StringNormalizer(c)  y = Shift(d)
        }""")
    for name, node in zip(["first", "relu", "second", "strings", ""], model.graph.node, strict=True):
        node.name = name
    path = save(model)
    assert error_of(path, UnsupportedOperatorError) == (
        "unsupported operators: acme::Wobble (nodes 'first', 'second'): "
        "define it as a function inside the model, or name it with --shift-operator if it is a shift; "
        "StringNormalizer (nodes 'strings'): only numbers are supported, treat strings outside the model; "
        "Shift (nodes 'Shift_4'): write it with other operators, or compute it outside the model"
    )
    with pytest.raises(UnsupportedOperatorError) as raised:
        import_model(path)
    assert raised.value.operators[0] == ("acme::Wobble", ("first", "second"))


def test_operators_onnx_knows_and_nobody_imports(save):
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (int64 bins, int64 rate, float low, float high) => (float[N,M] y)
        { [mel] a = MelWeightMatrix(bins, bins, rate, low, high)  y = Relu(a) }"""
    assert error_of(save(model), UnsupportedOperatorError) == (
        "unsupported operators: MelWeightMatrix (nodes 'mel'): "
        "write it with other operators, or compute it outside the model"
    )


def test_rows_that_data_decides_and_an_operator_that_mixes_them(save):
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,3] x) => (int64 y) { a = NonZero(x)  [all] y = ReduceSum<keepdims = 0>(a) }"""
    assert error_of(save(model), OperatorImportError) == (
        "node 'all': ReduceSum cannot be imported: the number of its input's rows depends on data, and it "
        "does not treat each row by itself: cut the model in front of it, and do the rest in your program"
    )


def test_supported_operator_used_in_an_unsupported_way(save):
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,3] x, int64[4] p) => (float[A,B] y) { [border] y = Pad(x, p) }"""
    assert error_of(save(model), OperatorImportError) == (
        "node 'border': Pad cannot be imported: its padding is not constant"
    )


def test_output_nobody_computes(save, monkeypatch):
    monkeypatch.setitem(CONVERTERS, "LayerNormalization", lambda node: list(node.inputs)[:1])
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (float[2,3] x) => (float[2,3] y, float[2,1] mean) <float[3] s = {1, 2, 3}>
        { [norm] y, mean = LayerNormalization(x, s) }"""
    assert error_of(save(model), OperatorImportError) == (
        "node 'norm': LayerNormalization cannot be imported: its output 'mean' is not supported"
    )


def test_shape_that_depends_on_data(save, capfd):
    model = """<ir_version: 8, opset_import: ["": 17]>
        g (float[6] x, int64[2] s) => (float[A,B] y) { [view] y = Reshape(x, s) }"""
    assert error_of(save(model), OperatorImportError) == (
        "node 'view': Reshape cannot be imported as it is used here: "
        "data float32[6], shape int64[2] not constant"
    )
    assert capfd.readouterr().err == ""


def test_conversion_of_an_old_opset_that_fails(save, monkeypatch):
    def fail(*_args):
        raise RuntimeError("no adapter\nfor Relu")

    monkeypatch.setattr("onnx.version_converter.convert_version", fail)
    assert error_of(save(GOOD.replace("17", "9")), OpsetConversionError) == (
        "cannot be converted from opset 9 to 13: no adapter for Relu"
    )
