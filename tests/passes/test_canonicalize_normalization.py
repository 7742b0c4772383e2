"""Normalizations, as one operator or spelled out, become one operator over planes, scale and offset apart."""

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
    const,
    conv,
    module,
    operators,
    values,
)
from tvm_passes.canonicalize.channels_first import channels_first
from tvm_passes.canonicalize.normalization import Normalization, normalization_of
from tvm_passes.graph import Graph
from tvm_passes.uses import Uses

NCHW, NHWC, TOKENS = (2, 6, 5, 3), (2, 5, 3, 6), (2, 15, 6)
TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
GAMMA, BETA = [1.0, -2, 3, 0.5, 4, -1], [0.5, 1, -1, 2, 0, 3]
EPSILON = 2.0**-10

rewritten = partial(apply_rule, channels_first)


def check(before, after) -> None:
    assert_same(rewritten(before), after)
    assert_computes_the_same(before, after)


def scalar(number: float):
    return relax.const(np.float32(number))


def over_channels(emit, x):
    return emit(op.nn.layer_norm(x, const(np.ones(6)), const(np.zeros(6)), [1], EPSILON))


def over_planes(emit, x, groups):
    return emit(op.nn.group_norm(x, const(np.ones(6)), const(np.zeros(6)), groups, 1, [2, 3], EPSILON))


def affine(emit, x):
    scaled = emit(op.multiply(x, const(np.reshape(GAMMA, (1, 6, 1, 1)))))
    return emit(op.add(scaled, const(np.reshape(BETA, (1, 6, 1, 1)))))


def spelled_out(emit, x, axes):
    """The nine operators of LayerNormalization before opset 17."""
    d = emit(op.subtract(x, emit(op.mean(x, axes, keepdims=True))))
    variance = emit(op.mean(emit(op.power(d, scalar(2))), axes, keepdims=True))
    return emit(op.divide(d, emit(op.sqrt(emit(op.add(variance, scalar(EPSILON)))))))


# --- as one operator ----------------------------------------------------------------------------------


def test_layer_norm_over_the_last_axis_is_one_over_the_channels_of_planes() -> None:
    def before(emit, x):
        y = emit(op.permute_dims(x, TO_LAST))
        return emit(op.nn.layer_norm(y, const(GAMMA), const(BETA), [-1], EPSILON))

    def after(emit, x):
        return emit(op.permute_dims(affine(emit, over_channels(emit, x)), TO_LAST))

    check(module([NCHW], before), module([NCHW], after))


def test_an_input_channels_last_becomes_planes() -> None:
    def before(emit, x):
        return emit(op.nn.layer_norm(x, const(GAMMA), const(BETA), [3], EPSILON))

    def after(emit, x):
        y = affine(emit, over_channels(emit, emit(op.permute_dims(x, TO_FIRST))))
        return emit(op.permute_dims(y, TO_LAST))

    check(module([NHWC], before), module([NHWC], after))


@pytest.mark.parametrize("shape", [NHWC, TOKENS])
def test_a_residual_reads_the_same_planes(shape: tuple[int, ...]) -> None:
    """A block of an MLP over an input channels last: it is permuted once."""

    def body(emit, x):
        y = emit(op.nn.layer_norm(x, const(GAMMA), const(BETA), [-1], EPSILON))
        return emit(op.add(emit(op.matmul(y, const(values(6, 6)))), x))

    mod = module([shape], body)
    result = rewritten(mod)
    names = operators(result)
    assert names[names.index("layer_norm") :][:5] == ["layer_norm", "multiply", "add", "conv2d", "add"]
    assert names.count("permute_dims") == 2
    assert_computes_the_same(mod, result)


def test_tokens_become_planes() -> None:
    def before(emit, x):
        return spelled_out(emit, x, [2])

    def after(emit, x):
        planes = emit(op.permute_dims(emit(op.reshape(x, (2, 15, 1, 6))), TO_FIRST))
        y = emit(op.permute_dims(over_channels(emit, planes), TO_LAST))
        return emit(op.reshape(y, TOKENS))

    check(module([TOKENS], before), module([TOKENS], after))


def test_group_norm_leaves_its_scale_and_offset() -> None:
    def before(emit, x):
        return emit(op.nn.group_norm(x, const(GAMMA), const(BETA), 3, 1, [2, 3], EPSILON))

    check(
        module([NCHW], before),
        module([NCHW], lambda emit, x: affine(emit, over_planes(emit, x, 3))),
    )


def test_layer_norm_of_matrices_stays_one() -> None:
    def before(emit, x):
        return emit(op.nn.layer_norm(x, const(GAMMA), const(np.zeros(6)), [-1], EPSILON))

    def after(emit, x):
        return emit(op.multiply(over_channels(emit, x), const(np.reshape(GAMMA, (1, 6)))))

    check(module([(4, 6)], before), module([(4, 6)], after))


def test_softmax_behind_a_permute_is_one_over_channels() -> None:
    def before(emit, x):
        return emit(op.nn.softmax(emit(op.permute_dims(x, TO_LAST)), axis=-1))

    def after(emit, x):
        return emit(op.permute_dims(emit(op.nn.softmax(x, axis=1)), TO_LAST))

    check(module([NCHW], before), module([NCHW], after))


# --- spelled out --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axes", "groups"), [([1], None), ([2, 3], 6), ([1, 2, 3], 1), ([-1, -2], 6)])
def test_the_axes_say_over_what(axes: list[int], groups: int | None) -> None:
    def after(emit, x):
        return over_channels(emit, x) if groups is None else over_planes(emit, x, groups)

    check(module([NCHW], lambda emit, x: spelled_out(emit, x, axes)), module([NCHW], after))


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_instances_of_reshaped_groups_are_a_group_norm(groups: int) -> None:
    """How exporters write GroupNormalization; TVM imports InstanceNormalization spelled out."""

    def before(emit, x):
        y = emit(op.reshape(x, (2, groups, -1)))
        d = emit(op.subtract(y, emit(op.mean(y, [2], keepdims=True))))
        variance = emit(op.add(emit(op.variance(y, [2], keepdims=True)), scalar(EPSILON)))
        y = emit(op.reshape(emit(op.divide(d, emit(op.sqrt(variance)))), NCHW))
        return affine(emit, y)

    result = rewritten(module([NCHW], before))
    assert operators(result) == ["group_norm", "multiply", "add", "reshape"]
    assert int(Graph.read(result).nodes[0].call.attrs.num_groups) == groups
    assert_computes_the_same(module([NCHW], before), result)


def _by(emit, d, root, how):
    """d / root, spelled differently."""
    inverse = {
        "division": lambda: op.divide(d, emit(op.sqrt(root))),
        "reciprocal": lambda: op.multiply(d, emit(op.divide(scalar(1), emit(op.sqrt(root))))),
        "rsqrt": lambda: op.multiply(emit(op.rsqrt(root)), d),
        "power": lambda: op.divide(d, emit(op.power(root, scalar(0.5)))),
        "negative power": lambda: op.multiply(d, emit(op.power(root, scalar(-0.5)))),
    }
    return emit(inverse[how]())


@pytest.mark.parametrize("how", ["division", "reciprocal", "rsqrt", "power", "negative power"])
@pytest.mark.parametrize("twice", [False, True], ids=["shared", "computed twice"])
def test_spellings(how: str, twice: bool) -> None:
    def before(emit, x):
        def deviation():
            return emit(op.subtract(x, emit(op.mean(x, [1], keepdims=True))))

        d = deviation()
        other = deviation() if twice else d
        variance = emit(op.mean(emit(op.multiply(other, other)), [1], keepdims=True))
        return _by(emit, d, emit(op.add(scalar(EPSILON), variance)), how)

    check(module([NCHW], before), module([NCHW], over_channels))


# --- what is none -------------------------------------------------------------------------------------


def _deviation(emit, x, axes, keepdims=True):
    return emit(op.subtract(x, emit(op.mean(x, axes, keepdims=keepdims))))


def _normalized(emit, x, d, moment):
    return emit(op.divide(d, emit(op.sqrt(emit(op.add(moment, scalar(EPSILON)))))))


def _squares(emit, d, axes, keepdims=True):
    return emit(op.mean(emit(op.multiply(d, d)), axes, keepdims=keepdims))


def _other_axes(emit, x):
    return _normalized(emit, x, _deviation(emit, x, [1]), _squares(emit, _deviation(emit, x, [1]), [2, 3]))


def _other_tensor(emit, x):
    d = _deviation(emit, x, [1])
    return _normalized(emit, x, d, _squares(emit, emit(op.tanh(x)), [1]))


def _other_variance(emit, x):
    variance = emit(op.variance(emit(op.tanh(x)), [1], keepdims=True))
    return _normalized(emit, x, _deviation(emit, x, [1]), variance)


def _no_squares(emit, x):
    return _normalized(emit, x, _deviation(emit, x, [1]), emit(op.mean(x, [1], keepdims=True)))


def _no_mean(emit, x):
    return _normalized(emit, x, _deviation(emit, x, [1]), emit(op.max(x, [1], keepdims=True)))


def _no_epsilon(emit, x):
    d = _deviation(emit, x, [1])
    return emit(op.divide(d, emit(op.sqrt(_squares(emit, d, [1])))))


def _broadcast(emit, x):
    """A cube: the statistics, without their axis, are broadcast along another one."""
    return _normalized(emit, x, x, emit(op.mean(emit(op.multiply(x, x)), [1], keepdims=False)))


def _root_mean_square(emit, x):
    return _normalized(emit, x, x, _squares(emit, x, [1]))


def _computed_scale(emit, x):
    gamma = emit(op.mean(x, [0, 2, 3]))
    return emit(op.nn.group_norm(x, gamma, const(BETA), 2, 1, [2, 3]))


REFUSED = {
    "another operator": (NCHW, lambda emit, x: emit(op.tanh(x)), "relax.tanh is no normalization"),
    "a quotient": (
        NCHW,
        lambda emit, x: emit(op.divide(x, emit(op.tanh(x)))),
        "relax.divide by no square root",
    ),
    "no epsilon": (NCHW, _no_epsilon, "nothing is added under the root"),
    "a maximum": (NCHW, _no_mean, "what is under the root is no mean or variance"),
    "a mean": (NCHW, _no_squares, "the mean under the root is not one of squares"),
    "squares of another tensor": (NCHW, _other_tensor, "the variance is another tensor's"),
    "a root mean square": (NCHW, _root_mean_square, "the numerator is no deviation from a mean"),
    "variance of another tensor": (NCHW, _other_variance, "the variance is another tensor's"),
    "other axes": (NCHW, _other_axes, "the mean is over axes (1,), the variance over (2, 3)"),
    "other broadcast": ((3, 3, 3), _broadcast, "the variance is broadcast along other axes"),
    "a scale that is computed": (
        NCHW,
        _computed_scale,
        "relax.nn.group_norm with a scale or offset that is not constant",
    ),
    "channels last": (
        NHWC,
        lambda emit, x: emit(op.nn.group_norm(x, const(GAMMA), const(BETA), 2, 3, [1, 2])),
        "relax.nn.group_norm with channels along axis 3",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_says_why_and_stays(name: str) -> None:
    shape, body, reason = REFUSED[name]
    mod = module([shape], body)
    graph = Graph.read(mod)
    assert normalization_of(Uses(graph), graph.nodes[-1]) == reason
    assert_same(rewritten(mod), mod)


STAYS = {
    "over rows": lambda emit, x: spelled_out(emit, x, [2]),
    "over the batch": lambda emit, x: spelled_out(emit, x, [0, 2, 3]),
    "softmax of an attention": lambda emit, x: emit(op.nn.softmax(x, axis=3)),
}


@pytest.mark.parametrize("name", STAYS)
def test_normalizations_without_a_kernel_stay(name: str) -> None:
    mod = module([NCHW], STAYS[name])
    graph = Graph.read(mod)
    assert isinstance(normalization_of(Uses(graph), graph.nodes[-1]), Normalization)
    assert_same(rewritten(mod), mod)


def test_vectors_stay_as_they_are() -> None:
    """Groups of a matrix's columns have no kernel."""
    mod = module([(4, 6, 1)], lambda emit, x: emit(op.nn.group_norm(x, const(GAMMA), const(BETA), 2, 1, [2])))
    assert_same(rewritten(mod), mod)


def test_a_convolution_behind_reads_the_planes() -> None:
    """ConvNeXt's block: no permute is left between the normalization and the linear layer."""

    def body(emit, x):
        y = emit(conv(x, values(6, 6, 1, 1)))
        y = emit(op.nn.layer_norm(emit(op.permute_dims(y, TO_LAST)), const(GAMMA), const(BETA), [-1]))
        return emit(op.permute_dims(emit(op.matmul(y, const(values(6, 4)))), TO_FIRST))

    mod = module([NCHW], body)
    result = rewritten(mod)
    assert operators(result)[:5] == ["conv2d", "layer_norm", "multiply", "add", "conv2d"]
    assert_computes_the_same(mod, result)
