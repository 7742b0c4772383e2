"""Linear layers and element-wise operators over the last axis work on planes [N, C, H, W]."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from tvm import relax
from tvm.relax import op

from tests.passes.modules import (
    apply_rule,
    assert_computes_the_same,
    assert_same,
    channelwise,
    check_compiled,
    const,
    conv,
    module,
    operators,
    values,
)
from tvm_passes.canonicalize.channels_first import channels_first
from tvm_passes.canonicalize.drop_identities import drop_identities
from tvm_passes.canonicalize.plane_view import PlaneView
from tvm_passes.graph import Graph

NHWC, NCHW = (2, 5, 3, 4), (2, 4, 5, 3)
TOKENS = (2, 15, 4)
W, V = values(4, 6), values(6, 4, seed=1)
B = [1.0, -2, 3, 0.5, 4, -1]
TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


rewritten = partial(apply_rule, channels_first)


def check(before, after) -> None:
    assert_same(rewritten(before), after)
    assert_computes_the_same(before, after)


def linear(emit, x, weight, bias=None):
    y = emit(op.matmul(x, const(weight)))
    return y if bias is None else emit(op.add(y, const(bias)))


def pointwise(emit, x, weight):
    return emit(conv(x, np.ascontiguousarray(weight.T)[:, :, None, None]))


def permuted(emit, x, axes):
    return emit(op.permute_dims(x, axes))


# --- linear layers --------------------------------------------------------------------------------------


def test_a_linear_layer_is_a_pointwise_convolution() -> None:
    before = module([NHWC], lambda emit, x: linear(emit, x, W))
    after = module(
        [NHWC], lambda emit, x: permuted(emit, pointwise(emit, permuted(emit, x, TO_FIRST), W), TO_LAST)
    )
    check(before, after)


def test_a_flattened_operand_is_looked_through() -> None:
    def body(emit, x):
        y = linear(emit, emit(op.reshape(x, (30, 4))), W, B)
        return emit(op.reshape(y, (2, 5, 3, 6)))

    def expected(emit, x):
        y = pointwise(emit, permuted(emit, x, TO_FIRST), W)
        y = permuted(emit, emit(op.add(y, channelwise(*B))), TO_LAST)
        return emit(op.reshape(emit(op.reshape(y, (30, 6))), (2, 5, 3, 6)))

    check(module([NHWC], body), module([NHWC], expected))


def test_tokens_are_planes_of_one_column() -> None:
    def expected(emit, x):
        planes = permuted(emit, emit(op.reshape(x, (2, 15, 1, 4))), TO_FIRST)
        return emit(op.reshape(permuted(emit, pointwise(emit, planes, W), TO_LAST), (2, 15, 6)))

    check(module([TOKENS], lambda emit, x: linear(emit, x, W)), module([TOKENS], expected))


@pytest.mark.parametrize("planes_last", [True, False])
def test_tokens_are_planes_of_the_size_they_have_elsewhere(planes_last: bool) -> None:
    def body(emit, x):
        y = linear(emit, x, W)
        if planes_last:
            return emit(op.nn.softmax(emit(op.reshape(y, (2, 5, 3, 6)))))
        return emit(op.reshape(emit(op.permute_dims(y, [0, 2, 1])), (2, 6, 5, 3)))

    mod = module([TOKENS], body)
    after = rewritten(mod)
    (product,) = [node for node in Graph.read(after).nodes if node.op == "relax.nn.conv2d"]
    assert [int(d) for d in product.var.ty.shape] == [2, 6, 5, 3]
    assert_computes_the_same(mod, after)


def test_a_chain_has_permutes_at_its_ends_only() -> None:
    def body(emit, x):
        y = emit(op.nn.gelu(linear(emit, x, W, B)))
        return linear(emit, y, V)

    def expected(emit, x):
        y = emit(op.add(pointwise(emit, permuted(emit, x, TO_FIRST), W), channelwise(*B)))
        return permuted(emit, pointwise(emit, emit(op.nn.gelu(y)), V), TO_LAST)

    check(module([NHWC], body), module([NHWC], expected))


def test_a_linear_layer_between_convolutions_needs_no_permute() -> None:
    """Tokens of planes: flattened, transposed, multiplied, and put back."""

    def body(emit, x):
        tokens = permuted(emit, emit(op.reshape(x, (2, 4, 15))), [0, 2, 1])
        y = emit(op.tanh(linear(emit, tokens, W, B)))
        return emit(op.nn.relu(emit(op.reshape(permuted(emit, y, [0, 2, 1]), (2, 6, 5, 3)))))

    def expected(emit, x):
        y = emit(op.tanh(emit(op.add(pointwise(emit, x, W), channelwise(*B)))))
        y = emit(op.nn.relu(y))
        return emit(op.reshape(y, (2, 6, 5, 3)))

    check(module([NCHW], body), module([NCHW], expected))


# --- element-wise operators -----------------------------------------------------------------------------

POSITIONAL = values(1, 5, 3, 4)
UNARY = {
    "sigmoid": op.sigmoid,
    "clip": lambda x: op.clip(x, 0, 6),
    "leaky relu": lambda x: op.nn.leakyrelu(x, 0.25),
    "a number": lambda x: op.multiply(x, const(2)),
    "a number of rank 4": lambda x: op.add(const(np.ones((1, 1, 1, 1))), x),
    "read twice": lambda x: op.multiply(x, x),
}


@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_one_tensor_goes_in_front(name: str) -> None:
    function = UNARY[name]
    before = module([NCHW], lambda emit, x: emit(function(permuted(emit, x, TO_LAST))))
    after = module([NCHW], lambda emit, x: permuted(emit, emit(function(x)), TO_LAST))
    check(before, after)


@pytest.mark.parametrize(
    ("constant", "planes"),
    [
        (B[:4], np.array(B[:4]).reshape(1, 4, 1, 1)),
        (POSITIONAL, POSITIONAL.transpose(0, 3, 1, 2)),
        (values(5, 1, 1), values(5, 1, 1).reshape(1, 1, 5, 1)),
        (np.ones((2, 5, 3, 4)), np.ones((1, 1, 1, 1))),
    ],
    ids=["per channel", "per position and channel", "per row", "broadcast by hand"],
)
def test_constants_are_permuted_and_stay_small(constant, planes) -> None:
    before = module([NCHW], lambda emit, x: emit(op.subtract(const(constant), permuted(emit, x, TO_LAST))))
    after = module([NCHW], lambda emit, x: permuted(emit, emit(op.subtract(const(planes), x)), TO_LAST))
    check(before, after)


def test_a_sum_of_two_permuted_tensors_is_a_permuted_sum() -> None:
    before = module(
        [NCHW, NCHW],
        lambda emit, x, y: emit(op.add(*(permuted(emit, operand, TO_LAST) for operand in (x, y)))),
    )
    after = module([NCHW, NCHW], lambda emit, x, y: permuted(emit, emit(op.add(x, y)), TO_LAST))
    check(before, after)


def test_a_residual_in_the_other_order_is_permuted() -> None:
    before = module([NHWC], lambda emit, x: emit(op.add(linear(emit, x, W[:, :4]), x)))

    def expected(emit, x):
        y = pointwise(emit, permuted(emit, x, TO_FIRST), W[:, :4])
        return permuted(emit, emit(op.add(y, permuted(emit, x, TO_FIRST))), TO_LAST)

    check(before, module([NHWC], expected))


def test_a_reshape_of_planes_goes_behind_too() -> None:
    before = module([NCHW], lambda emit, x: emit(op.exp(emit(op.reshape(x, (2, 4, 15))))))
    after = module([NCHW], lambda emit, x: emit(op.reshape(emit(op.exp(x)), (2, 4, 15))))
    check(before, after)


# --- what stays -----------------------------------------------------------------------------------------


def _matrices(emit, x):
    return linear(emit, emit(op.nn.relu(x)), W)


def _flattened_planes(emit, x):
    return linear(emit, emit(op.reshape(x, (2, 60))), values(60, 3))


def _regrouped(emit, x):
    return linear(emit, emit(op.reshape(x, (60, 2))), values(2, 3))


def _variable_weight(emit, x):
    return emit(op.matmul(x, x))


def _a_weight_per_batch(emit, x):
    return emit(op.matmul(x, const(values(2, 4, 6))))


def _broadcast(emit, x):
    """The mean per pixel is a tensor of another shape."""
    y = permuted(emit, x, TO_LAST)
    return emit(op.subtract(y, emit(op.mean(y, [3], keepdims=True))))


def _another_order(emit, x):
    return emit(op.nn.relu(permuted(emit, x, [0, 1, 3, 2])))


def _planes(emit, x):
    return emit(op.nn.relu(emit(op.add(x, channelwise(1, 2, 3, 4)))))


def _other_planes(emit, x):
    """What slice assignments export: planes of one channel; a function of them has its own place."""
    return emit(op.nn.relu(emit(op.reshape(x, (8, 1, 5, 3)))))


def _not_elementwise(emit, x):
    return emit(op.nn.log_softmax(permuted(emit, x, TO_LAST)))


REFUSED = {
    "a product of matrices": ((7, 4), _matrices),
    "flattened planes": (NCHW, _flattened_planes),
    "rows that are no channels": (NHWC, _regrouped),
    "two tensors": ((2, 4, 4), _variable_weight),
    "a weight per batch element": (TOKENS, _a_weight_per_batch),
    "a broadcast tensor": (NCHW, _broadcast),
    "rows and columns exchanged": (NCHW, _another_order),
    "planes": (NCHW, _planes),
    "planes of other channels": (NCHW, _other_planes),
    "another operator": (NCHW, _not_elementwise),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_else_changes(name: str) -> None:
    shape, body = REFUSED[name]
    mod = module([shape], body)
    assert_same(rewritten(mod), mod)


def test_a_matrix_beside_its_planes_stays_where_it_is_computed() -> None:
    """The product of a flattened tensor is no plane, though one is added to it."""

    def body(emit, x):
        flat = emit(op.reshape(x, (2, 60)))
        return emit(op.add(flat, linear(emit, flat, values(60, 60))))

    mod = module([NCHW], body)
    assert_same(rewritten(mod), mod)


@pytest.mark.parametrize(
    ("shape", "last", "axes", "found"),
    [
        ((2, 4, 15), False, [0, 2, 1], True),
        ((2, 15, 4), True, [0, 2, 1], False),
        ((2, 5, 3, 4), True, TO_FIRST, False),
        ((2, 5, 3, 4), True, TO_LAST, None),
        ((2, 4, 5, 3), False, [0, 1, 3, 2], None),
        ((2, 2, 2, 15), False, [0, 2, 3, 1], None),
    ],
)
def test_views_through_permutes(shape, last, axes, found) -> None:
    planes = relax.Var("planes", relax.TensorType(NCHW, "float32"))
    mod = module([shape], lambda emit, x: permuted(emit, x, axes))
    view = PlaneView(planes, last).through(Graph.read(mod).nodes[0])
    assert (None if view is None else view.last) is found


def test_a_permute_to_the_same_order_is_dropped() -> None:
    def body(emit, x):
        return emit(op.exp(permuted(emit, permuted(emit, x, [0, 2, 1]), [0, 1, 2])))

    mod = module([TOKENS], body)
    assert operators(apply_rule(drop_identities, mod)) == ["permute_dims", "exp"]


# --- all passes -----------------------------------------------------------------------------------------


def test_a_shift_in_channels_last_folds() -> None:
    """S2-MLP: Yu et al., "S2-MLP: Spatial-Shift MLP Architecture for Vision", WACV 2022."""

    def body(emit, x):
        y = emit(op.nn.gelu(linear(emit, x, W, B)))
        up, down = (emit(op.strided_slice(y, [3], [c], [c + 3])) for c in (0, 3))
        first = emit(op.strided_slice(up, [1], [0], [1]))
        moved = emit(op.concat([first, emit(op.strided_slice(up, [1], [0], [4]))], axis=1))
        shifted = emit(op.concat([moved, down], axis=3))
        return emit(op.add(linear(emit, shifted, V), x))

    mod = module([NHWC], body)
    program = check_compiled(mod)
    moving = [record for record in program.index_maps if "1" in record.offsets.split(" x ")[0]]
    assert [(r.folded, r.offsets, r.border) for r in moving] == [(True, "(-1,0) x 3, (0,0) x 3", "edge")]
    assert operators(mod).count("matmul") == 2
    assert [s.kind for s in program.steps if s.macs] == ["indexed_conv", "indexed_conv"]
