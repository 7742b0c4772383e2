"""Input shapes as text, and what pinning them does to a model."""

from __future__ import annotations

import onnx.parser
import pytest

from frontends import ImportOptions, load_model, parse_input_shapes
from frontends.errors import DynamicShapeError, InputShapeError
from frontends.shapes import pin_shapes


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("x:[1,3,224,224]", {"x": (1, 3, 224, 224)}),
        ("x:[1,3] y:[8]", {"x": (1, 3), "y": (8,)}),
        ("  x : [ 1 , 3 ] ,y:[8]  ", {"x": (1, 3), "y": (8,)}),
        ("x:[1],y:[2]", {"x": (1,), "y": (2,)}),
        ("gpu_0/data_0:[1,3]", {"gpu_0/data_0": (1, 3)}),
        ("onnx::Conv_0:[2]", {"onnx::Conv_0": (2,)}),
        ("scale:[]", {"scale": ()}),
    ],
)
def test_reads(text, shapes):
    assert parse_input_shapes(text) == shapes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "input shapes are empty: write NAME:[1,3,224,224], one per input"),
        ("x=[1]", "cannot read input shapes at 'x=[1]': write NAME:[1,3,224,224], one per input"),
        ("x:[1] y:1,2", "cannot read input shapes at 'y:1,2': write NAME:[1,3,224,224], one per input"),
        ("x:[1", "cannot read input shapes at 'x:[1': write NAME:[1,3,224,224], one per input"),
        ("x:[1,]", "the shape [1,] given for input 'x' is no list of positive numbers"),
        ("x:[N,3]", "the shape [N,3] given for input 'x' is no list of positive numbers"),
        ("x:[0,3]", "the shape [0,3] given for input 'x' is no list of positive numbers"),
        ("x:[-1,3]", "the shape [-1,3] given for input 'x' is no list of positive numbers"),
        ("x:[1] x:[1]", "input shapes name 'x' twice"),
    ],
)
def test_refuses_text(text, message):
    with pytest.raises(InputShapeError) as raised:
        parse_input_shapes(text)
    assert str(raised.value) == message


TWO_INPUTS = """<ir_version: 8, opset_import: ["": 17]>
g (float[N,3,H,W] x, float[N,1,1,1] b) => (float[N,3,H,W] y) { y = Add(x, b) }"""


def test_a_symbol_is_pinned_everywhere():
    model = onnx.parser.parse_model(TWO_INPUTS)
    pin_shapes(model, {"x": (4, 3, 8, 9)})
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input]
    assert shapes == [[4, 3, 8, 9], [4, 1, 1, 1]]


def test_outputs_are_inferred_again(save):
    model = load_model(save(TWO_INPUTS), ImportOptions(input_shapes={"x": (4, 3, 8, 9)}))
    output = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in output] == [4, 3, 8, 9]


def test_unpinned_input(save):
    path = save(TWO_INPUTS)
    with pytest.raises(DynamicShapeError) as raised:
        load_model(path)
    assert str(raised.value) == (
        f"{path}: input shapes are not fixed: 'x' is [N,3,H,W], 'b' is [N,1,1,1]; pin them, for example "
        '--input-shapes "x:[1,3,224,224] b:[1,1,1,1]"'
    )


def test_the_example_of_the_error_works(save):
    path = save(TWO_INPUTS)
    example = parse_input_shapes("x:[1,3,224,224] b:[1,1,1,1]")
    assert load_model(path, ImportOptions(input_shapes=example)).graph.node[0].op_type == "Add"


def test_nameless_dimension_and_unknown_rank():
    model = onnx.parser.parse_model(TWO_INPUTS)
    model.graph.input[0].type.tensor_type.shape.dim[2].ClearField("dim_param")
    model.graph.input[1].type.tensor_type.ClearField("shape")
    with pytest.raises(DynamicShapeError, match=r"'x' is \[N,3,\?,W\], 'b' is of unknown rank"):
        pin_shapes(model, {})
    pin_shapes(model, {"x": (1, 3, 4, 4), "b": (3, 1, 1)})
    assert len(model.graph.input[1].type.tensor_type.shape.dim) == 3


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_mean_unknown(size):
    model = onnx.parser.parse_model(TWO_INPUTS)
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = size
    with pytest.raises(DynamicShapeError, match=r"'x' is \[N,3,H,\?\]"):
        pin_shapes(model, {})
    pin_shapes(model, {"x": (1, 3, 4, 5)})
    assert model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == 5


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "the model has no input 'z' (its inputs: 'x', 'b')"),
        (
            {"x": (1, 4, 8, 8)},
            "input 'x' is [N,3,H,W], which contradicts the shape [1, 4, 8, 8] given for it",
        ),
        ({"x": (1, 3, 8)}, "input 'x' is [N,3,H,W], which contradicts the shape [1, 3, 8] given for it"),
        (
            {"x": (2, 3, 8, 8), "b": (1, 1, 1, 1)},
            "dimension 'N' is given as 2 and, by input 'b', as 1",
        ),
    ],
)
def test_contradictions(shapes, message, save):
    path = save(TWO_INPUTS)
    with pytest.raises(InputShapeError) as raised:
        load_model(path, ImportOptions(input_shapes=shapes))
    assert str(raised.value) == f"{path}: {message}"
