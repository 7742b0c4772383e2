"""Normalizations and softmax as stages: what they read through, what follows them, how exact they are."""

from __future__ import annotations

import numpy as np
import pytest
from tvm.relax import op

from tests.passes.modules import (
    channelwise,
    check_planned,
    compiled,
    const,
    conv,
    execute,
    gathered,
    module,
    stages,
    through,
)
from tvm_passes.fold import fold
from tvm_passes.fuse import fuse
from tvm_passes.lowering.normalization import clusters_of
from tvm_passes.report import Report

CHANNELS = 21
SHAPE = (2, CHANNELS, 5, 7)
SHUFFLE = gathered([SHAPE], [(0, c % 3 * 7 + c // 3) for c in range(CHANNELS)])
SCALE, OFFSET = np.linspace(-2, 2, CHANNELS), np.linspace(0, 3, CHANNELS)


def layer_norm(x):
    channels = int(x.ty.shape[1])
    return op.nn.layer_norm(x, const(np.ones(channels)), const(np.zeros(channels)), [1])


def group_norm(x, groups=3):
    channels = int(x.ty.shape[1])
    return op.nn.group_norm(x, const(np.ones(channels)), const(np.zeros(channels)), groups, 1, [2, 3])


def softmax(x):
    return op.nn.softmax(x, axis=1)


KINDS = {"layer_norm": layer_norm, "group_norm": group_norm, "softmax": softmax}


def weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_has_scale_offset_residual_and_activation(kind: str) -> None:
    def body(emit, x):
        y = emit(conv(x, weight(CHANNELS, CHANNELS, 1, 1)))
        y = emit(op.multiply(emit(KINDS[kind](y)), channelwise(*SCALE)))
        return emit(op.nn.relu(emit(op.add(emit(op.add(y, channelwise(*OFFSET))), x))))

    mod = module([SHAPE], body)
    convolution, norm = stages(fuse(mod))
    assert (convolution.kind, norm.kind, len(norm.epilogue)) == ("convolution", kind, 4)
    program = check_planned(mod)
    assert [s.kind for s in program.steps] == ["layout", "indexed_conv", kind, "layout"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_concat_and_a_shuffle_in_front_cost_nothing(kind: str) -> None:
    """Channels lie in blocks of two tensors, in another order; a slice leaves lanes that others fill."""
    joined = gathered([SHAPE, SHAPE], [(c % 2, c // 2) for c in range(2 * CHANNELS)])
    part = gathered([SHAPE], [(0, c) for c in range(4, 19)])

    def body(emit, x):
        y, z = (emit(op.nn.relu(emit(conv(x, weight(CHANNELS, CHANNELS, 1, i))))) for i in (1, 1))
        return tuple(
            emit(op.tanh(emit(KINDS[kind](emit(through(index_map, *sources))))))
            for index_map, sources in ((joined, (y, z)), (SHUFFLE, (y,)), (part, (z,)))
        )

    program = check_planned(module([SHAPE], body))
    assert [s.kind for s in program.steps].count(kind) == 3
    assert not any(s.kind == "movement" for s in program.steps)


@pytest.mark.parametrize("groups", [1, 3, CHANNELS])
def test_groups(groups: int) -> None:
    """Groups straddle blocks, a shuffle scatters their channels."""
    mod = module([SHAPE], lambda emit, x: emit(group_norm(emit(through(SHUFFLE, x)), groups)))
    assert stages(fold(fuse(mod), Report()))[0].groups == groups
    check_planned(mod)


def test_matrices() -> None:
    def body(emit, x):
        y = emit(layer_norm(emit(op.matmul(x, const(weight(12, 37))))))
        return emit(softmax(emit(op.multiply(y, const(np.linspace(-3, 3, 37)[None])))))

    program = check_planned(module([(3, 12)], body))
    assert [s.kind for s in program.steps] == ["layout", "indexed_conv", "layer_norm", "softmax", "layout"]


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("threads", [1, 2])
def test_far_from_zero(threads: int) -> None:
    """Mean 1e3, deviation 1: a variance as a difference of mean squares would be lost."""
    mod = module([SHAPE], lambda emit, x: tuple(emit(norm(x)) for norm in (layer_norm, group_norm, softmax)))
    x = (np.random.default_rng(3).standard_normal(SHAPE) + 1e3).astype("float32")
    exact = x.astype(np.float64)
    grouped = exact.reshape(2, 3, 7, 5, 7)
    e = np.exp(exact - exact.max(1, keepdims=True))
    expected = [
        _standard(exact, (1,)),
        _standard(grouped, (2, 3, 4)).reshape(SHAPE),
        e / e.sum(1, keepdims=True),
    ]
    results = execute(compiled(mod, threads=threads), [x], outputs=[e.astype("float32") for e in expected])
    for actual, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-5)


def _standard(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    deviation = x - x.mean(axes, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axes, keepdims=True) + 1e-5)


def test_equal_elements_are_zero() -> None:
    """The variance is 0, not a rounding error below it."""
    mod = module([SHAPE], lambda emit, x: tuple(emit(norm(x)) for norm in (layer_norm, group_norm)))
    x = np.full(SHAPE, 1234.567, "float32")
    for actual in execute(compiled(mod), [x], outputs=[x, x]):
        np.testing.assert_allclose(actual, 0, atol=1e-6)


CLUSTERS = {
    "groups of one": (np.arange(32).reshape(32, 1), 2, 2),
    "one group": (np.arange(32).reshape(1, 32), 2, 1),
    "groups that share blocks pairwise": (np.arange(96).reshape(4, 24), 6, 2),
    "groups across all blocks": (np.arange(80).reshape(2, 40), 5, 1),
    "unequal runs": (np.array([[0], [1], [16]]), 2, 1),
    "a half-empty block": (np.arange(24).reshape(6, 4), 2, 1),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_clusters_are_runs_of_blocks_with_whole_groups(name: str) -> None:
    positions, blocks, clusters = CLUSTERS[name]
    count, members = clusters_of(positions, blocks, 16)
    assert count == clusters
    np.testing.assert_array_equal(members, positions)


def test_groups_are_ordered_by_cluster() -> None:
    positions = np.arange(64).reshape(4, 16)[[2, 0, 3, 1]]
    count, members = clusters_of(positions, 4, 16)
    assert count == 4
    np.testing.assert_array_equal(members, np.arange(64).reshape(4, 16))
