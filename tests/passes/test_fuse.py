"""Operators become stages: an anchor and what follows it element by element."""

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op
from tvm.script import ir as I
from tvm.script import relax as R

from tests.passes.modules import (
    assert_computes_the_same,
    assert_same,
    channelwise,
    const,
    conv,
    module,
    moved,
    operators,
    stages,
    through,
    values,
)
from tvm_passes.anchor import Window, anchor_of
from tvm_passes.fuse import fuse
from tvm_passes.graph import Graph

SHAPE = (2, 4, 6, 6)
W, DEPTHWISE = values(8, 4, 3, 3), values(4, 1, 3, 3)


@I.ir_module
class Pooled:
    @R.function
    def main(x: R.Tensor((2, 4, 6, 6), "float32"), r: R.Tensor((2, 4, 3, 3), "float32")):  # noqa: N805
        with R.dataflow():
            pooled = R.nn.max_pool2d(x, (2, 2), (2, 2))
            total = R.add(r, pooled)
            act = R.nn.relu(total)
            out = R.nn.softmax(act)
            R.output(out)
        return out


@I.ir_module
class PooledStage:
    @R.function
    def main(x: R.Tensor((2, 4, 6, 6), "float32"), r: R.Tensor((2, 4, 3, 3), "float32")):  # noqa: N805
        cls = PooledStage
        with R.dataflow():
            act = cls.stage_0(x, r)
            out = R.nn.softmax(act)
            R.output(out)
        return out

    @R.function(private=True)
    def stage_0(
        x: R.Tensor((2, 4, 6, 6), "float32"),  # noqa: N805
        r: R.Tensor((2, 4, 3, 3), "float32"),
    ) -> R.Tensor((2, 4, 3, 3), "float32"):
        R.func_attr({"Composite": "shiftc.stage"})
        with R.dataflow():
            pooled = R.nn.max_pool2d(x, (2, 2), (2, 2))
            total = R.add(r, pooled)
            act = R.nn.relu(total)
            R.output(act)
        return act


def test_a_stage_is_a_private_function_of_the_original_operators() -> None:
    fused = fuse(Pooled)
    assert_same(fused, PooledStage)
    assert_computes_the_same(Pooled, fused)


ANCHORS = {
    "convolution": (SHAPE, lambda x: conv(x, W, 1), "convolution"),
    "grouped": (SHAPE, lambda x: conv(x, values(8, 2, 3, 3), groups=2), "convolution"),
    "depthwise": (SHAPE, lambda x: conv(x, DEPTHWISE, groups=4), "depthwise"),
    "multiplier": (SHAPE, lambda x: conv(x, values(8, 1, 3, 3), groups=4), "convolution"),
    "one channel": ((1, 1, 6, 6), lambda x: conv(x, values(1, 1, 3, 3)), "convolution"),
    "matrix product": ((3, 4), lambda x: op.matmul(x, const(values(4, 5))), "convolution"),
    "maximum": (SHAPE, lambda x: op.nn.max_pool2d(x, (2, 2)), "window_pool"),
    "average": (SHAPE, lambda x: op.nn.avg_pool2d(x, (3, 3), padding=(1, 1)), "window_pool"),
    "maximum of the plane": (SHAPE, lambda x: op.nn.max_pool2d(x, (6, 6)), "global_pool"),
    "average of the plane": (SHAPE, lambda x: op.nn.avg_pool2d(x, (6, 6)), "global_pool"),
    "adaptive": (SHAPE, lambda x: op.nn.adaptive_avg_pool2d(x, (1, 1)), "global_pool"),
    "mean": (SHAPE, lambda x: op.mean(x, [2, 3], keepdims=True), "global_pool"),
    "mean to a matrix": (SHAPE, lambda x: op.mean(x, [-1, -2]), "global_pool"),
    "max": (SHAPE, lambda x: op.max(x, [2, 3], keepdims=True), "global_pool"),
    "element-wise": (SHAPE, op.nn.relu, "elementwise"),
}


@pytest.mark.parametrize("name", ANCHORS)
def test_anchor(name: str) -> None:
    shape, body, kind = ANCHORS[name]
    mod = module([shape], lambda emit, x: emit(op.tanh(emit(body(x)))))
    (stage,) = stages(fuse(mod))
    assert stage.kind == kind
    assert stage.epilogue[-1].step.op.kind == "tanh"


def test_what_a_stage_is() -> None:
    def body(emit, x):
        y = emit(relax.op.nn.conv2d(x, const(W), strides=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 2)))
        return emit(op.nn.relu(emit(op.add(y, channelwise(*range(8))))))

    (stage,) = stages(fuse(module([SHAPE], body)))
    assert stage.window == Window((3, 3), (2, 1), (1, 0, 2, 1), (1, 2))
    assert stage.shape == stage.output == (2, 8, 4, 3)
    assert stage.macs == 2 * 8 * 4 * 3 * 4 * 9
    assert stage.read.map is None
    assert [source.name for source in stage.read.sources] == ["x0"]
    assert len(stage.operators) == 3
    np.testing.assert_array_equal(stage.weight, W)


def test_a_matrix_product_is_a_pointwise_convolution() -> None:
    k = values(4, 5)
    (stage,) = stages(fuse(module([(3, 4)], lambda emit, x: emit(op.matmul(x, const(k))))))
    assert stage.shape == (3, 5, 1, 1)
    np.testing.assert_array_equal(stage.weight[:, :, 0, 0], k.T)


NO_ANCHORS = {
    "weight is an input": (
        [SHAPE, W.shape],
        op.nn.conv2d,
        "a convolution whose weight is not constant",
    ),
    "layout": (
        [SHAPE],
        lambda x: op.nn.conv2d(x, const(values(6, 6, 1, 1)), data_layout="NHWC", kernel_layout="OIHW"),
        "a convolution in layout NHWC",
    ),
    "matrices": (
        [(2, 3, 4)],
        lambda x: op.matmul(x, const(values(4, 5))),
        "relax.matmul on rank 3",
    ),
    "two inputs": (
        [(3, 4), (4, 5)],
        op.matmul,
        "a matrix multiplication that is not [N, K] by a constant [K, M]",
    ),
    "axes": ([SHAPE], lambda x: op.mean(x, [1]), "relax.mean on rank 4"),
    "kept axes": ([SHAPE], lambda x: op.mean(x, [1], keepdims=True), "a reduction over axes [1]"),
    "adaptive": (
        [SHAPE],
        lambda x: op.nn.adaptive_avg_pool2d(x, (2, 2)),
        "an adaptive pool to more than one pixel",
    ),
    "type": ([SHAPE], lambda x: op.nn.max_pool2d(op.astype(x, "float16")), "relax.nn.max_pool2d on float16"),
    "operator": ([SHAPE], lambda x: op.nn.log_softmax(x), "relax.nn.log_softmax is no anchor"),
    "softmax over rows": ([SHAPE], lambda x: op.nn.softmax(x, axis=2), "a softmax over axis 2"),
    "layer norm over rows": (
        [SHAPE],
        lambda x: op.nn.layer_norm(x, const(np.ones(SHAPE[3])), const(np.zeros(SHAPE[3])), [3]),
        "relax.nn.layer_norm over axes [3]",
    ),
    "layer norm with an offset": (
        [SHAPE],
        lambda x: op.nn.layer_norm(x, const(np.ones(SHAPE[1])), const(np.ones(SHAPE[1])), [1]),
        "relax.nn.layer_norm with a scale or offset",
    ),
    "group norm over rows": (
        [SHAPE],
        lambda x: op.nn.group_norm(x, const(np.ones(SHAPE[1])), const(np.zeros(SHAPE[1])), 2, 1, [2]),
        "relax.nn.group_norm over axes [2]",
    ),
    "group norm with a scale": (
        [SHAPE],
        lambda x: op.nn.group_norm(x, const(np.full(SHAPE[1], 2)), const(np.zeros(SHAPE[1])), 2, 1, [2, 3]),
        "relax.nn.group_norm with a scale or offset",
    ),
}


@pytest.mark.parametrize("name", NO_ANCHORS)
def test_what_is_no_anchor_says_why(name: str) -> None:
    shapes, body, reason = NO_ANCHORS[name]
    graph = Graph.read(module(shapes, lambda emit, *inputs: emit(body(*inputs))))
    assert anchor_of(graph.nodes[-1]) == reason


def test_element_wise_chains_without_an_anchor_are_stages() -> None:
    def body(emit, x, y):
        scores = emit(op.nn.softmax(emit(op.tanh(emit(op.add(x, y))))))
        return emit(op.nn.relu(emit(op.multiply(scores, x))))

    mod = module([SHAPE, SHAPE], body)
    fused = fuse(mod)
    assert operators(fused) == ["call:stage_0", "softmax", "call:stage_1"]
    assert_computes_the_same(mod, fused)


def test_an_index_map_is_in_no_stage() -> None:
    shift = moved([(0, 1)] * 4, SHAPE)

    def body(emit, x):
        return emit(op.sigmoid(emit(through(shift, emit(conv(x, DEPTHWISE, 1, groups=4))))))

    assert operators(fuse(module([SHAPE], body))) == ["call:stage_0", "index_map", "call:stage_1"]


def test_the_other_branch_is_there_when_a_stage_runs() -> None:
    """conv a, conv b, then a + b with activations between: every order of branches is schedulable."""

    def body(emit, x):
        a = emit(conv(x, W, 1))
        b = emit(conv(emit(op.nn.relu(x)), W[::-1], 1))
        total = emit(op.add(emit(op.tanh(b)), emit(op.sigmoid(a))))
        return emit(op.add(total, a))

    mod = module([SHAPE], body)
    fused = fuse(mod)
    relax.analysis.well_formed(fused)
    assert_computes_the_same(mod, fused)
