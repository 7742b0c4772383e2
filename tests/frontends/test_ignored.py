"""What a node says and no converter asks for is refused, unless the result does not depend on it."""

from __future__ import annotations

import onnx
import pytest
from tvm import relax

from frontends import import_model
from frontends.converters import CONVERTERS, Attributes, Inputs
from frontends.errors import OperatorImportError

NODES = {
    # operator, its attributes, whether it is refused by a converter that asks for nothing but the first input
    "stated": ("LRN<size=3, alpha=0.5>(x)", "its attribute size = 3 is not supported"),
    "as the default": ("Elu<alpha=1.0>(x)", None),
    "other than the default": ("Elu<alpha=2.0>(x)", "its attribute alpha = 2.0 is not supported"),
    "text": ('DepthToSpace<blocksize=1, mode="CRD">(x)', "its attribute blocksize = 1 is not supported"),
    "a list": (
        "MaxPool<kernel_shape=[1,1]>(x)",
        "its attribute kernel_shape = [1, 1] is not supported",
    ),
    "without effect": ("Dropout<seed=7>(x)", None),
    "without effect as it is used": ("Reshape<allowzero=1>(x, s)", "its input 'shape' is not supported"),
    "an input": ("Mul(x, x)", "its input 'B' is not supported"),
    "an input that is left out": ("Clip(x, , m)", "its input 'max' is not supported"),
    "one of many inputs": ("Max(x, x, x)", "its input 'data_0' is not supported"),
}


@pytest.mark.parametrize("name", NODES)
def test_a_converter_that_asks_for_one_input_alone(name, save, monkeypatch):
    node, reason = NODES[name]
    operator = node.partition("(")[0].partition("<")[0]
    monkeypatch.setitem(CONVERTERS, operator, lambda node: node.inputs[0])
    path = save(f"""<ir_version: 8, opset_import: ["": 17]>
        g (float[1,2,4,4] x, float m) => (float[1,2,4,4] y) <int64[4] s = {{1, 2, 4, 4}}>
        {{ [one] y = {node} }}""")
    if reason is None:
        assert len(import_model(path).signature.outputs) == 1
        return
    with pytest.raises(OperatorImportError) as raised:
        import_model(path)
    assert str(raised.value) == f"{path}: node 'one': {operator} cannot be imported: {reason}"


def test_training_mode_needs_random_numbers(save):
    path = save("""<ir_version: 8, opset_import: ["": 17]>
        g (float[2,4] x) => (float[2,4] y) <float r = {0.5}, bool t = {1}> { [drop] y = Dropout(x, r, t) }""")
    with pytest.raises(OperatorImportError, match="training mode is not supported, since it drops"):
        import_model(path)


def test_attributes_and_inputs_remember_who_was_asked_for():
    node = onnx.helper.make_node("Op", ["x"], ["y"], a=1, b=[1, 2], c="x", d=0.5)
    attributes = Attributes.of(node)
    assert (attributes["a"], attributes.get("b"), attributes.get("z", 5)) == (1, (1, 2), 5)
    assert "c" in attributes
    assert list(attributes.unread()) == ["d"]
    inputs = Inputs([10, None, 30, 40])
    assert (inputs[0], inputs[7], inputs[1:3], inputs.peek()) == (10, None, [None, 30], [10, None, 30, 40])
    assert list(inputs.unread()) == [3]
    assert list(inputs) == [10, None, 30, 40]
    assert not list(inputs.unread())


def test_a_result_of_another_type_than_onnx_infers(save, monkeypatch):
    monkeypatch.setitem(CONVERTERS, "Abs", lambda node: relax.op.astype(node.inputs[0], "float64"))
    path = save("""<ir_version: 8, opset_import: ["": 17]>
        g (float[2,3] x) => (float[2,3] y) { [one] a = Abs(x)  y = Relu(a) }""")
    with pytest.raises(OperatorImportError) as raised:
        import_model(path)
    assert str(raised.value) == (
        f"{path}: node 'one': Abs cannot be imported: its result is float64 in place of float32"
    )
