"""Input shapes as text, and what pinning them does to a model."""

from __future__ import annotations

import shlex

import onnx.parser
import pytest

from frontends import ImportOptions, load_model, parse_input_shapes
from frontends.errors import DynamicShapeError, InputShapeError
from frontends.shapes import pin_shapes

HOW = 'write NAME:[1,3,224,224] for an input, NAME=1 for a dimension, or JSON: {"NAME": [1,3,224,224]}'


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
        ("none:[0,3]", {"none": (0, 3)}),
        ("N=8", {"N": 8}),
        ("N=8,x:[1,3] height = 224", {"N": 8, "x": (1, 3), "height": 224}),
        ("k=3:[1]", {"k=3": (1,)}),
        ("'input 1:0':[1,3]", {"input 1:0": (1, 3)}),
        ("\"it's\" : [2], 'batch size'=4", {"it's": (2,), "batch size": 4}),
        ('{"input 1:0": [1, 3], "N": 8, "s": []}', {"input 1:0": (1, 3), "N": 8, "s": ()}),
    ],
)
def test_reads(text, shapes):
    assert parse_input_shapes(text) == shapes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"input shapes are empty: {HOW}"),
        ("{}", f"input shapes are empty: {HOW}"),
        ("x=[1]", f"cannot read input shapes at 'x=[1]': {HOW}"),
        ("x:[1] y:1,2", f"cannot read input shapes at 'y:1,2': {HOW}"),
        ("x:[1", f"cannot read input shapes at 'x:[1': {HOW}"),
        ("'x:[1]", f"cannot read input shapes at ''x:[1]': {HOW}"),
        (
            '{"x": [1]',
            f"input shapes are no JSON (Expecting ',' delimiter: line 1 column 10 (char 9)): {HOW}",
        ),
        ('{"x": [1, "2"]}', "the shape [1, \"2\"] given for input 'x' is no list of sizes"),
        ('{"x": [[1]]}', "the shape [[1]] given for input 'x' is no list of sizes"),
        ('{"x": [1.5]}', "the shape [1.5] given for input 'x' is no list of sizes"),
        ('{"N": true}', "the size true given for dimension 'N' is no positive number"),
        ('{"N": 1, "N": 2}', "input shapes name 'N' twice"),
        ("N=0", "the size 0 given for dimension 'N' is no positive number"),
        ("N=two", "the size two given for dimension 'N' is no positive number"),
        ("x:[1,]", "the shape [1,] given for input 'x' is no list of sizes"),
        ("x:[N,3]", "the shape [N,3] given for input 'x' is no list of sizes"),
        ("x:[-1,3]", "the shape [-1,3] given for input 'x' is no list of sizes"),
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


def test_a_dimension_is_pinned_by_its_name():
    model = onnx.parser.parse_model(TWO_INPUTS)
    pin_shapes(model, {"N": 4, "W": 9, "H": 8})
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


@pytest.mark.parametrize("name", ["x", "input 1:0", "onnx::Add_0", "it's", 'a"b', "é", "k=3", "a,b"])
def test_the_example_of_the_error_works(name, save):
    model = onnx.parser.parse_model(TWO_INPUTS)
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    path = save(model)
    with pytest.raises(DynamicShapeError) as raised:
        load_model(path)
    words = shlex.split(str(raised.value).partition("--input-shapes ")[2])
    example = parse_input_shapes(words[0])
    assert len(words) == 1
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
    pinned = onnx.ModelProto()
    pinned.CopyFrom(model)
    pin_shapes(pinned, {"x": (1, 3, 4, 0)})  # asked for, it is what it says
    assert pinned.graph.input[0].type.tensor_type.shape.dim[3].dim_value == 0
    pin_shapes(model, {"x": (1, 3, 4, 5)})
    assert model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == 5


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "the model has no input 'z' (its inputs: 'x', 'b')"),
        ({"x": (1, 3, 8, 8), "M": 2}, "no input has a dimension 'M' (dimensions: 'H', 'N', 'W')"),
        ({"x": 2}, "no input has a dimension 'x' (dimensions: 'H', 'N', 'W')"),
        ({"x": (1, 3, 8, 8), "N": 2}, "dimension 'N' is given as 2 and, by input 'x', as 1"),
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
