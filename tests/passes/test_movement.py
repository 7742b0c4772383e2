"""What the passes believe operators do to arrays, against what TVM does."""

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax, te, topi
from tvm.ir import Expr, Var
from tvm.relax import op

from tests.passes.modules import module, run_with_tvm
from tvm_passes.graph import Graph, Node
from tvm_passes.movement import Mover
from tvm_passes.movement_table import MOVES
from tvm_passes.movement_tir import NotMovementError, run_prim_func

SHAPE = (2, 6, 5, 4)
Maker = Callable[[Var], Expr]
RANDOM = np.random.default_rng(3)


def const(value: object, dtype: str = "int64") -> Expr:
    return relax.const(np.array(value, dtype), dtype)


def one_hot(filters: int, kernel: tuple[int, int], inner: int = 1) -> np.ndarray:
    weight = np.zeros((filters, inner * kernel[0] * kernel[1]), "float32")
    weight[np.arange(filters), RANDOM.integers(0, weight.shape[1], filters)] = 1
    return weight.reshape(filters, inner, *kernel)


ROWS = RANDOM.permutation(6)
EXPRESSIONS: dict[str, Maker] = {
    "reshape": lambda x: op.reshape(x, (2, 3, 2, 20)),
    "flatten": lambda x: op.flatten(x),
    "expand and squeeze": lambda x: op.squeeze(op.expand_dims(x, 1), 1),
    "permute_dims": lambda x: op.permute_dims(x, (0, 2, 3, 1)),
    "permute_dims reversed": lambda x: op.permute_dims(x),
    "astype": lambda x: op.astype(x, "float32"),
    "broadcast_to": lambda x: op.broadcast_to(op.strided_slice(x, [2], [1], [2], [1]), SHAPE),
    "flip": lambda x: op.flip(x, 2),
    "tile": lambda x: op.tile(x, (1, 2, 1, 3)),
    "repeat": lambda x: op.repeat(x, 2, 3),
    "pad": lambda x: op.nn.pad(x, (0, 0, 0, 0, 1, 2, 0, 1)),
    "pad replicate": lambda x: op.nn.pad(x, (0, 0, 0, 0, 1, 2, 0, 1), "replicate"),
    "pad circular": lambda x: op.nn.pad(x, (0, 0, 0, 0, 1, 2, 0, 1), "circular"),
    "pad reflect": lambda x: op.nn.pad(x, (0, 0, 0, 0, 1, 2, 0, 1), "reflect"),
    "strided_slice": lambda x: op.strided_slice(x, [1, 2], [1, 0], [6, 100], [2, 3]),
    "strided_slice from the end": lambda x: op.strided_slice(x, [3], [-3], [-1], [1]),
    "strided_slice backwards": lambda x: op.strided_slice(x, [2], [-1], [-100], [-2]),
    "dynamic_strided_slice": lambda x: op.reshape(
        op.dynamic_strided_slice(x, const([0, 1, 0, 0]), const([2, 5, 5, 4]), const([1, 2, 1, 1])),
        (2, 2, 5, 4),
    ),
    "split": lambda x: op.concat([op.split(x, 3, 1)[2], op.split(x, 3, 1)[0]], 1),
    "split at indices": lambda x: op.split(x, [1, 4], 1)[1],
    "split unevenly": lambda x: op.split(x, 2, 2)[1],
    "concat with zeros": lambda x: op.concat([x, const(np.zeros((2, 1, 5, 4)), "float32")], 1),
    "stack": lambda x: op.stack([x, op.zeros_like(x)], 2),
    "full of zeros": lambda x: op.concat([x, op.full(SHAPE, const(0, "float32"), "float32")], 0),
    "max_pool2d of one": lambda x: op.nn.max_pool2d(x, (1, 1), (2, 2)),
    "take": lambda x: op.take(x, const(ROWS), 1),
    "gather_elements": lambda x: op.gather_elements(x, const(RANDOM.integers(0, 5, (2, 6, 3, 4))), 2),
    "gather_nd": lambda x: op.gather_nd(x, const([[0, 3], [1, 2]])),
    "scatter_nd": lambda x: op.scatter_nd(
        op.zeros(SHAPE, "float32"), const([[1], [0]]), op.strided_slice(x, [0], [0], [2], [1])
    ),
    "scatter_elements": lambda x: op.scatter_elements(
        x, const(np.argsort(RANDOM.random(SHAPE), axis=2)), op.flip(x, 1), 2
    ),
    "slice_scatter": lambda x: op.slice_scatter(x, op.strided_slice(x, [2], [0], [4], [1]), 1, 5, 1, axis=2),
    "one-hot depthwise": lambda x: op.nn.conv2d(
        x, const(one_hot(6, (3, 3)), "float32"), padding=(1, 1), groups=6
    ),
    "one-hot depthwise, strided, dilated": lambda x: op.nn.conv2d(
        x,
        const(one_hot(12, (3, 2)), "float32"),
        strides=(2, 1),
        padding=(2, 0, 1, 3),
        dilation=(2, 3),
        groups=6,
    ),
    "one-hot grouped": lambda x: op.nn.conv2d(x, const(one_hot(4, (1, 1), 3), "float32"), groups=2),
}
"""Names what is tried; every operator of the table that a model can reach is in here."""


def returning(*makers: Maker) -> tvm.IRModule:
    """A function of one tensor that returns what every maker makes of it."""
    return module([SHAPE], lambda emit, x: tuple(emit(maker(x)) for maker in makers))


def run_plans(mod: tvm.IRModule, x: np.ndarray) -> list[np.ndarray]:
    """The outputs of the module, computed by the plans of its nodes."""
    graph = Graph.read(mod)
    mover = Mover(mod, graph)
    results: dict[Var, np.ndarray] = {graph.params[0]: x}
    for node in graph.nodes:
        if not mover.is_constant(node.var):
            plan = mover.plan(node)
            operands = [
                results[o] if o in results else np.zeros([int(d) for d in o.ty.shape], "float32")
                for o in plan.operands
            ]
            results[node.var] = plan.apply(operands)
    return [results[out] for out in graph.outputs]


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By expression: what TVM computes, what the plans do. One module, because each build takes long."""
    mod = returning(*EXPRESSIONS.values())
    x = RANDOM.standard_normal(SHAPE).astype("float32")
    pairs = zip(run_with_tvm(mod, [x]), run_plans(mod, x), strict=True)
    return dict(zip(EXPRESSIONS, pairs, strict=True))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_plan_is_the_operator(name: str, results: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    wanted, got = results[name]
    np.testing.assert_array_equal(got, wanted)


def test_every_operator_of_the_table_is_tried() -> None:
    graph = Graph.read(returning(*EXPRESSIONS.values()))
    # an index map is tried with recognize; full_like, index_put, avg_pool2d and views share a function
    shared = {"index_map", "relax.full_like", "relax.index_put", "relax.nn.avg_pool2d", "relax.memory.view",
              "relax.shape_to_tensor"}  # fmt: skip
    assert set(MOVES) - shared <= {node.op for node in graph.nodes}


def plan_of(maker: Maker) -> tuple[Mover, Node]:
    mod = returning(maker)
    graph = Graph.read(mod)
    mover = Mover(mod, graph)
    for node in graph.nodes[:-1]:
        if not mover.is_constant(node.var):
            mover.plan(node)
    return mover, graph.nodes[-1]


WEIGHT = const(one_hot(6, (3, 3)) * 2, "float32")
REFUSALS = {
    "computes": (lambda x: op.nn.relu(x), "relax.nn.relu computes"),
    "weights": (lambda x: op.nn.conv2d(x, WEIGHT, groups=6), "relax.nn.conv2d computes"),
    "pad value": (lambda x: op.nn.pad(x, (0, 0, 0, 0, 1, 1, 1, 1), pad_value=2.0), "fills in the constant 2"),
    "constant": (
        lambda x: op.concat([x, const(np.ones(SHAPE), "float32")], 1),
        "a constant that is not zero",
    ),
    "full": (lambda x: op.full(SHAPE, const(1, "float32"), "float32"), "fills in a constant"),
    "dtype": (lambda x: op.astype(x, "float16"), "converts float32 to float16"),
    "indices": (lambda x: op.take(x, op.astype(x, "int64"), 1), "converts float32 to int64"),
    "sum": (
        lambda x: op.scatter_elements(x, const(np.zeros(SHAPE)), x, 1, "add"),
        "scatters with add",
    ),
    "pool": (lambda x: op.nn.max_pool2d(x, (2, 2)), "pools"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_have_a_reason(case: str) -> None:
    maker, reason = REFUSALS[case]
    with pytest.raises(NotMovementError, match=reason):
        mover, node = plan_of(maker)
        mover.plan(node)


def test_integer_arithmetic_on_constants_is_known() -> None:
    def negative_index(x: Var) -> Expr:
        index = const([1, -1])
        return op.take(x, op.where(op.less(index, const(0)), op.add(index, const(6)), index), 1)

    mod = returning(negative_index)
    x = RANDOM.standard_normal(SHAPE).astype("float32")
    np.testing.assert_array_equal(run_plans(mod, x)[0], x[:, [1, 5]])


TENSOR_PROGRAMS = {
    "pad": lambda a: topi.nn.pad(a, [0, 0, 1, 2], [0, 0, 0, 1], 0.0),
    "mirror_pad": lambda a: topi.nn.mirror_pad(a, [0, 0, 1, 2], [0, 0, 0, 1], "REFLECT"),
    "replicate_pad": lambda a: topi.nn.replicate_pad(a, [0, 0, 1, 2], [0, 0, 0, 1]),
    "circular_pad": lambda a: topi.nn.circular_pad(a, [0, 0, 1, 2], [0, 0, 0, 1]),
    "flip": lambda a: topi.flip(a, 1),
    "tile": lambda a: topi.tile(a, (1, 2, 1, 2)),
    "nearest": lambda a: topi.image.resize2d(
        a,
        [0.0] * 4,
        (10, 8),
        method="nearest_neighbor",
        coordinate_transformation_mode="asymmetric",
        rounding_method="floor",
    ),
}


@pytest.mark.parametrize("name", TENSOR_PROGRAMS)
def test_tensor_programs_that_move_data(name: str) -> None:
    placeholder = te.placeholder(SHAPE, "float32", "a")
    result = TENSOR_PROGRAMS[name](placeholder)
    function = te.create_prim_func([placeholder, result])
    shape = tuple(int(d) for d in result.shape)
    x = RANDOM.standard_normal(SHAPE).astype("float32")
    wanted = tvm.runtime.tensor(np.zeros(shape, "float32"))
    built = tvm.compile(tvm.IRModule({"main": function.with_attr("global_symbol", "main")}),
                        target=tvm.target.Target("llvm"))  # fmt: skip
    built["main"](tvm.runtime.tensor(x), wanted)
    np.testing.assert_array_equal(run_prim_func(function, [x], shape), wanted.numpy())


@pytest.mark.parametrize(
    ("name", "reason"),
    [("relu", "computes Max"), ("sum", "reduces"), ("pad_one", "fills in the constant 1")],
)
def test_tensor_programs_that_compute(name: str, reason: str) -> None:
    placeholder = te.placeholder(SHAPE, "float32", "a")
    result = {
        "relu": lambda: topi.nn.relu(placeholder),
        "sum": lambda: topi.sum(placeholder, 1),
        "pad_one": lambda: topi.nn.pad(placeholder, [0, 0, 1, 1], [0, 0, 1, 1], 1.0),
    }[name]()
    function = te.create_prim_func([placeholder, result])
    with pytest.raises(NotMovementError, match=reason):
        run_prim_func(function, [np.zeros(SHAPE, "int32")], tuple(int(d) for d in result.shape))
