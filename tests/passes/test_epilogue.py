"""Which element-wise operators join a convolution's stage, as which steps; what ends a stage, and why."""

import math

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from schedules.workload import EpilogueOp
from tests.passes.modules import channelwise, const, conv, module, stages, values
from tvm_passes.epilogue import channel_vector, head_step, match_step, vanishes_at_zero
from tvm_passes.fuse import fuse
from tvm_passes.graph import Graph
from tvm_passes.uses import Uses

SHAPE = (2, 4, 5, 5)
W = values(4, 4, 1, 1)
VECTOR = [2.0, -1.0, 0.5, 3.0]


def after_conv(body, *more):
    """A convolution, and what `body` makes of it and the other inputs."""
    return module([SHAPE, *more], lambda emit, x, *others: body(emit, emit(conv(x, W)), *others))


def only_stage(mod):
    (stage,) = stages(fuse(mod))
    return stage


UNARY = {
    "relu": (op.nn.relu, EpilogueOp("relu")),
    "relu6": (op.nn.relu6, EpilogueOp("clip", (0.0, 6.0))),
    "clip": (lambda x: op.clip(x, -1, 2), EpilogueOp("clip", (-1.0, 2.0))),
    "leaky relu": (lambda x: op.nn.leakyrelu(x, 0.25), EpilogueOp("leaky_relu", (0.25,))),
    "sigmoid": (op.sigmoid, EpilogueOp("sigmoid")),
    "tanh": (op.tanh, EpilogueOp("tanh")),
    "silu": (op.nn.silu, EpilogueOp("silu")),
    "gelu": (op.nn.gelu, EpilogueOp("gelu")),
    "gelu tanh": (op.nn.gelu_tanh, EpilogueOp("gelu_tanh")),
    "exp": (op.exp, EpilogueOp("exp")),
    "abs": (op.abs, EpilogueOp("abs")),
    "negative": (op.negative, EpilogueOp("negative")),
    "erf": (op.erf, EpilogueOp("erf")),
    "add": (lambda x: op.add(const(2), x), EpilogueOp("add_scalar", (2.0,))),
    "subtract": (lambda x: op.subtract(x, const([2])), EpilogueOp("add_scalar", (-2.0,))),
    "multiply": (lambda x: op.multiply(x, const([[[2]]])), EpilogueOp("multiply_scalar", (2.0,))),
    "divide": (lambda x: op.divide(x, const(4)), EpilogueOp("multiply_scalar", (0.25,))),
    "maximum": (lambda x: op.maximum(const(1), x), EpilogueOp("clip", (1.0, math.inf))),
    "minimum": (lambda x: op.minimum(x, const(1)), EpilogueOp("clip", (-math.inf, 1.0))),
    "power": (lambda x: op.power(x, const(2)), EpilogueOp("power_scalar", (2.0,))),
}


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_value(name: str) -> None:
    function, expected = UNARY[name]
    stage = only_stage(after_conv(lambda emit, y: emit(function(y))))
    assert [operation.step.op for operation in stage.epilogue] == [expected]


VECTORS = {
    "add": (lambda y: op.add(y, channelwise(*VECTOR)), "add_vector", VECTOR),
    "add to": (lambda y: op.add(channelwise(*VECTOR), y), "add_vector", VECTOR),
    "subtract": (lambda y: op.subtract(y, channelwise(*VECTOR)), "add_vector", [-v for v in VECTOR]),
    "multiply": (lambda y: op.multiply(y, channelwise(*VECTOR)), "multiply_vector", VECTOR),
    "divide": (lambda y: op.divide(y, channelwise(*VECTOR)), "multiply_vector", [0.5, -1, 2, 1 / 3]),
    "prelu": (lambda y: op.nn.prelu(y, const(VECTOR)), "prelu", VECTOR),
    "prelu of one": (lambda y: op.nn.prelu(y, const([0.5])), "prelu", [0.5] * 4),
}


@pytest.mark.parametrize("name", VECTORS)
def test_constant_per_channel(name: str) -> None:
    function, kind, vector = VECTORS[name]
    (operation,) = only_stage(after_conv(lambda emit, y: emit(function(y)))).epilogue
    assert operation.step.op == EpilogueOp(kind)
    np.testing.assert_allclose(operation.step.vector, vector, rtol=1e-6)


TENSORS = {
    "add": (lambda y, r: op.add(y, r), EpilogueOp("add")),
    "add to": (lambda y, r: op.add(r, y), EpilogueOp("add")),
    "multiply": (lambda y, r: op.multiply(r, y), EpilogueOp("multiply")),
    "maximum": (lambda y, r: op.maximum(r, y), EpilogueOp("maximum")),
    "minimum": (lambda y, r: op.minimum(y, r), EpilogueOp("minimum")),
    "subtract": (lambda y, r: op.subtract(y, r), EpilogueOp("subtract")),
    "subtract from": (lambda y, r: op.subtract(r, y), EpilogueOp("subtract", swapped=True)),
    "divide": (lambda y, r: op.divide(y, r), EpilogueOp("divide")),
    "divided": (lambda y, r: op.divide(r, y), EpilogueOp("divide", swapped=True)),
}


@pytest.mark.parametrize("name", TENSORS)
def test_second_tensor(name: str) -> None:
    function, expected = TENSORS[name]
    mod = after_conv(lambda emit, y, r: emit(function(y, r)), SHAPE)
    (stage,) = stages(fuse(mod))
    (operation,) = stage.epilogue
    assert operation.step.op == expected
    assert not operation.step.per_channel
    assert [source.name for source in operation.read.sources] == ["x1"]


def test_factor_per_channel_that_is_computed() -> None:
    stage = only_stage(after_conv(lambda emit, y, gate: emit(op.multiply(y, gate)), (2, 4, 1, 1)))
    (operation,) = stage.epilogue
    assert operation.step.op == EpilogueOp("multiply")
    assert operation.step.per_channel


def test_an_addition_of_two_convolutions_belongs_to_the_later() -> None:
    def body(emit, x):
        first = emit(conv(x, W))
        second = emit(conv(emit(op.nn.relu(first)), W))
        return emit(op.nn.relu(emit(op.add(first, second))))

    fused = fuse(module([SHAPE], body))
    kinds = [(stage.kind, [o.step.op.kind for o in stage.epilogue]) for stage in stages(fused)]
    assert kinds == [("convolution", []), ("elementwise", ["relu"]), ("convolution", ["add", "relu"])]


ENDS = {
    "output": (
        lambda emit, y: (y, emit(op.nn.relu(y))),
        "it is an output of the graph",
    ),
    "two consumers": (
        lambda emit, y: (emit(op.nn.relu(y)), emit(op.tanh(y))),
        "it has 2 consumers",
    ),
    "shape": (lambda emit, y: emit(op.reshape(y, (2, 100))), "relax.reshape is not an element-wise epilogue"),
    "type": (lambda emit, y: emit(op.astype(y, "float16")), "relax.astype is not an element-wise epilogue"),
    "operator": (lambda emit, y: emit(op.sin(y)), "relax.sin is not an element-wise epilogue"),
    "itself": (lambda emit, y: emit(op.multiply(y, y)), "relax.multiply reads it twice"),
    "constant on the left": (
        lambda emit, y: emit(op.subtract(const(1), y)),
        "relax.subtract with a constant on its left",
    ),
    "constant per pixel": (
        lambda emit, y: emit(op.add(y, const(values(5, 5)))),
        "relax.add with a constant of shape (5, 5)",
    ),
    "maximum per channel": (
        lambda emit, y: emit(op.maximum(y, channelwise(*VECTOR))),
        "relax.maximum with a constant of shape (1, 4, 1, 1)",
    ),
    "prelu along rows": (
        lambda emit, y: emit(op.nn.prelu(y, const(values(5)), axis=2)),
        "relax.nn.prelu along an axis other than the channels",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_stage_ends_and_says_why(name: str) -> None:
    body, reason = ENDS[name]
    graph = Graph.read(after_conv(body))
    answer = match_step(Uses(graph), graph.nodes[0].var)
    assert answer == reason


TENSOR_ENDS = {
    "broadcast": (
        lambda y, r: op.add(y, r),
        (2, 1, 5, 5),
        "relax.add broadcasts (2, 1, 5, 5) over (2, 4, 5, 5)",
    ),
    "growing": (lambda y, r: op.add(y, r), (1, 2, 4, 5, 5), "relax.add changes its shape or type"),
    "power": (lambda y, r: op.power(y, r), SHAPE, "relax.power with an exponent that is not constant"),
    "prelu": (lambda y, r: op.nn.prelu(y, r), (4,), "relax.nn.prelu with a slope that is not constant"),
}


@pytest.mark.parametrize("name", TENSOR_ENDS)
def test_a_second_tensor_is_refused(name: str) -> None:
    function, shape, reason = TENSOR_ENDS[name]
    graph = Graph.read(after_conv(lambda emit, y, r: emit(function(y, r)), shape))
    assert match_step(Uses(graph), graph.nodes[0].var) == reason


def test_head_of_an_elementwise_stage() -> None:
    graph = Graph.read(module([(2, 4, 1, 1), SHAPE], lambda emit, gate, x: emit(op.multiply(gate, x))))
    value, step = head_step(Uses(graph), graph.nodes[0])
    assert value.name == "x1"
    assert step.per_channel


@pytest.mark.parametrize(
    ("shape", "body", "reason"),
    [
        ((2, 3, 4), op.nn.relu, "relax.nn.relu on float32 of rank 3"),
        (SHAPE, lambda x: op.nn.softmax(x), "relax.nn.softmax is not element-wise"),
        (SHAPE, lambda x: op.astype(x, "float16"), "relax.astype is not element-wise"),
        (
            (1, 4, 1, 1),
            lambda x: op.add(x, const(values(2, 4, 5, 5))),
            "relax.add reads no tensor of its own shape",
        ),
    ],
)
def test_what_is_no_head_says_why(shape, body, reason: str) -> None:
    graph = Graph.read(module([shape], lambda emit, x: emit(body(x))))
    assert head_step(Uses(graph), graph.nodes[0]) == reason


VANISHING = {
    "relu": (op.nn.relu, True),
    "gelu": (op.nn.gelu, True),
    "exp": (op.exp, False),
    "sigmoid": (op.sigmoid, False),
    "clip around zero": (lambda x: op.clip(x, -1, 1), True),
    "clip above zero": (lambda x: op.clip(x, 1, 2), False),
    "number times": (lambda x: op.multiply(x, const(3)), True),
    "number more": (lambda x: op.add(x, const(3)), False),
    "at most": (lambda x: op.minimum(x, const(3)), True),
    "at least": (lambda x: op.maximum(x, const(3)), False),
    "square": (lambda x: op.power(x, const(2)), True),
    "inverse": (lambda x: op.power(x, const(-1)), False),
    "vector": (lambda x: op.multiply(x, channelwise(*VECTOR)), None),
    "softmax": (op.nn.softmax, None),
    "itself": (lambda x: op.multiply(x, x), None),
}


@pytest.mark.parametrize("name", VANISHING)
def test_zero_at_zero(name: str) -> None:
    function, expected = VANISHING[name]
    graph = Graph.read(module([SHAPE], lambda emit, x: emit(function(x))))
    assert vanishes_at_zero(graph.nodes[0]) is expected


@pytest.mark.parametrize(
    ("constant", "axis", "expected"),
    [
        (np.ones((1, 4, 1, 1)), 1, [1] * 4),
        (np.ones((4, 1, 1)), 1, [1] * 4),
        (np.full(1, 3), 1, [3] * 4),
        (np.float32(3), 1, [3] * 4),
        (np.ones(5), 3, [1] * 5),
        (np.ones(5), 1, None),
        (np.ones((2, 4, 1, 1)), 1, None),
        (np.ones((1, 1, 4, 1, 1)), 1, None),
        (np.ones(4), 4, None),
    ],
)
def test_constants_as_vectors(constant, axis: int, expected) -> None:
    vector = channel_vector(np.asarray(constant), SHAPE, axis)
    assert (None if vector is None else vector.tolist()) == expected


def test_types_other_than_float32_end_a_stage() -> None:
    x = relax.Var("x", relax.TensorType(SHAPE, "float16"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            out = builder.emit_output(op.nn.relu(x))
        builder.emit_func_output(out)
    graph = Graph.read(builder.get())
    assert match_step(Uses(graph), graph.params[0]) == "relax.nn.relu changes its shape or type"
