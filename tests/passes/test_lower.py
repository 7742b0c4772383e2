"""Programs compute what their modules do, whatever the layouts, maps and epilogues."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax import op

from tests.machines import AVX512
from tests.passes.modules import (
    channelwise,
    check_compiled,
    compiled,
    const,
    conv,
    entry_of,
    execute,
    gathered,
    module,
    moved,
    one_hot,
    reference,
    tensors,
    through,
)
from tvm_passes.canonicalize import canonicalize
from tvm_passes.fuse import fuse
from tvm_passes.index_map import IndexMap
from tvm_passes.lower import lower
from tvm_passes.lowering.context import OperatorError
from tvm_passes.translation import ChannelTranslation, Translation

SHAPE = (2, 12, 7, 5)
RANDOM = np.random.default_rng(4)


def weight(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype("float32")


def single(shape, body):
    return module([shape], lambda emit, x: emit(body(x)))


def _convolutions(emit, x):
    """One network, many windows: every output is one of them."""
    conv2d = relax.op.nn.conv2d
    y = emit(op.nn.relu(emit(conv(x, weight(20, 12, 1, 1)))))
    return (
        emit(conv(y, weight(6, 20, 3, 3), 1)),
        emit(conv(y, weight(6, 20, 3, 3), strides=2, padding=1)),
        emit(conv2d(y, const(weight(3, 20, 2, 3)), strides=(1, 2), padding=(0, 2, 1, 0), dilation=(2, 1))),
        emit(conv(y, weight(10, 10, 3, 1), groups=2)),
        emit(conv(y, weight(40, 1, 1, 1), groups=20)),
        emit(conv(y, weight(20, 1, 5, 3), 2, groups=20)),
        emit(conv(y, weight(20, 1, 3, 3), strides=2, groups=20)),
        emit(conv(y, weight(5, 4, 1, 1), groups=5)),
    )


def _pools(emit, x):
    pool = op.nn
    return (
        emit(pool.max_pool2d(x, (3, 3), (2, 2), (1, 1))),
        emit(pool.avg_pool2d(x, (3, 2), (2, 1), (1, 1))),
        emit(pool.avg_pool2d(x, (3, 3), (2, 2), (1, 1), count_include_pad=True)),
        emit(pool.avg_pool2d(x, (2, 2), (2, 2), ceil_mode=True)),
        emit(pool.max_pool2d(x, (2, 2), (2, 2), (0, 0, 1, 1), (2, 1))),
        emit(op.mean(x, [2, 3], keepdims=True)),
        emit(op.max(x, [2, 3])),
        emit(pool.adaptive_avg_pool2d(emit(conv(x, weight(20, 12, 1, 1))), (1, 1))),
    )


def _epilogues(emit, x):
    y = emit(conv(x, weight(12, 12, 1, 1)))
    biased = emit(op.nn.prelu(emit(op.add(y, channelwise(*range(12)))), const(weight(12))))
    z = emit(op.nn.gelu(emit(op.subtract(x, emit(conv(biased, weight(12, 12, 3, 3), 1))))))
    gate = emit(op.sigmoid(emit(conv(emit(op.mean(z, [2, 3], keepdims=True)), weight(12, 12, 1, 1)))))
    return emit(op.nn.silu(emit(op.multiply(emit(conv(z, weight(12, 12, 1, 1))), gate)))), emit(op.tanh(z))


def _shifts(emit, x):
    """Every border, channels of several tensors, and one tensor read through several maps."""
    y = emit(conv(x, weight(12, 12, 1, 1)))
    offsets = [((c % 3) - 1, (c // 3) - 1) for c in range(12)]
    far = [(7 - c, c - 6) for c in range(12)]
    outputs = [
        emit(conv(emit(through(moved(steps, SHAPE, border), y)), weight(8, 12, 1, 1)))
        for border in ("zero", "wrap", "edge")
        for steps in (offsets, far)
    ]
    total = emit(op.add(y, emit(through(moved(offsets, SHAPE), x))))
    return (*outputs, emit(op.sigmoid(emit(through(moved(offsets, SHAPE, "wrap"), total)))))


def _channels(emit, x):
    """Concat, split and shuffle between stages of every kind."""
    y = emit(op.nn.relu(emit(conv(x, weight(20, 12, 1, 1)))))
    shapes = [(2, 12, 7, 5), (2, 20, 7, 5)]
    mixed = gathered(shapes, [(c % 2, (c * 5) % 12) for c in range(24)])
    half = gathered(shapes[1:], [(0, c) for c in range(19, 7, -1)])
    padded = gathered(shapes[1:], [(0, 3), None, (0, 0), None, None, (0, 19)])
    joined = emit(through(mixed, x, y))
    return (
        emit(op.nn.max_pool2d(joined, (3, 3))),
        emit(conv(joined, weight(24, 1, 3, 3), 1, groups=24)),
        emit(op.add(emit(conv(joined, weight(12, 24, 1, 1))), emit(through(half, y)))),
        emit(conv(emit(through(padded, y)), weight(4, 6, 3, 3), 1)),
        emit(conv(emit(through(half, y)), weight(4, 6, 1, 1), groups=2)),
        emit(through(mixed, x, y)),
    )


def _strides_and_batches(emit, x):
    y = emit(conv(x, weight(12, 12, 1, 1)))
    every_other = Translation(
        tuple(ChannelTranslation(0, c, 0, c % 2, -(c % 3)) for c in range(12)), (2, 2)
    ).index_map([SHAPE], (2, 12, 4, 3))
    temporal = Translation(
        tuple(ChannelTranslation(0, c, (c % 3) - 1) for c in range(12))
    ).index_map([SHAPE], SHAPE)  # fmt: skip
    return (
        emit(conv(emit(through(every_other, y)), weight(4, 12, 1, 1))),
        emit(conv(emit(through(temporal, y)), weight(4, 12, 1, 1))),
        emit(through(every_other, y)),
    )


FLIP = IndexMap.from_json(
    '{"sources":[[2,12,7,5]],"output":[2,12,7,5],"channels":[[12,1,[[0,0,0,0,4,1,1,-1,0,0,0,2,7,5]]]]}'
)


def _movement_that_nothing_folds(emit, x):
    y = emit(conv(x, weight(12, 12, 1, 1)))
    return (
        emit(conv(emit(through(FLIP, y)), weight(4, 12, 1, 1))),
        emit(through(FLIP, x)),
        emit(conv(emit(through(moved([(0, 1)] * 12, SHAPE), y)), weight(4, 12, 3, 3), 1)),
        emit(op.nn.softmax(emit(through(moved([(1, 0)] * 12, SHAPE), y)))),
        emit(op.nn.max_pool2d(emit(through(moved([(0, 1)] * 6 + [(1, 0)] * 6, SHAPE, "edge"), y)), (2, 2))),
    )


def _channels_of_zeros(emit, x):
    """Kernels that read every channel read zeros where a map has none."""
    y = emit(conv(x, weight(12, 12, 1, 1)))
    padded = gathered([SHAPE], [(0, c) if c % 3 else None for c in range(12)])
    gate = emit(op.sigmoid(emit(op.mean(y, [2, 3], keepdims=True))))
    gates = gathered([(2, 12, 1, 1)], [(0, c) if c % 3 else None for c in range(12)])
    wide = emit(conv(y, weight(32, 12, 1, 1)))
    half = gathered([(2, 32, 1, 1)], [None] * 16 + [(0, c) for c in range(16, 32)])
    wide_gate = emit(op.sigmoid(emit(op.mean(wide, [2, 3], keepdims=True))))
    larger = Translation(
        tuple(ChannelTranslation(0, c, 0, -2, -1) if c % 3 else None for c in range(12))
    ).index_map([SHAPE], (2, 12, 9, 6))
    return (
        emit(op.sigmoid(emit(through(larger, y)))),
        emit(op.multiply(wide, emit(through(half, wide_gate)))),
        emit(op.sigmoid(emit(through(padded, y)))),
        emit(conv(emit(through(padded, y)), weight(4, 6, 1, 1), groups=2)),
        emit(op.subtract(emit(through(padded, y)), x)),
        emit(op.multiply(y, emit(through(gates, gate)))),
    )


def _map_of_an_input_and_a_result(emit, x):
    """No stage reads the map: what it reads is blocked alike nevertheless."""
    y = emit(op.nn.softmax(x))
    both = gathered([SHAPE, SHAPE], [(c % 2, c // 2) for c in range(24)])
    joined = emit(through(both, y, x))
    return emit(op.nn.softmax(joined)), joined


def _matrices(emit, x):
    rows = emit(op.reshape(emit(op.nn.relu(emit(conv(x, weight(3, 12, 1, 1))))), (2, 105)))
    hidden = emit(op.nn.relu(emit(op.add(emit(op.matmul(rows, const(weight(105, 33)))), const(weight(33))))))
    return emit(op.nn.softmax(emit(op.matmul(hidden, const(weight(33, 10)))))), hidden


def _generic_operators(emit, x):
    y = emit(conv(x, weight(12, 12, 1, 1)))
    top, bottom = (emit(relax.TupleGetItem(emit(op.split(y, 2, 1)), i)) for i in (0, 1))
    tokens = emit(op.permute_dims(emit(op.reshape(y, (2, 12, 35))), (0, 2, 1)))
    norm = emit(op.nn.layer_norm(tokens, const(weight(12)), const(weight(12)), axes=[2]))
    scores = emit(op.matmul(norm, const(weight(12, 5))))
    return emit(op.multiply(top, bottom)), scores, emit(op.sum(scores, [1])), emit(op.add(x, x))


def _inputs_as_they_are(emit, x):
    return x, emit(op.nn.relu(x)), emit(op.reshape(x, (24, 35)))


def _activations(emit, x):
    y = emit(conv(x, weight(12, 12, 1, 1)))
    functions = [op.exp, op.abs, op.negative, op.erf, op.sigmoid, op.nn.gelu_tanh, op.nn.leakyrelu]
    squares = emit(op.add(emit(op.power(y, const(2))), const(1)))
    return *(emit(f(y)) for f in functions), emit(op.sqrt(squares)), emit(op.divide(const(1), squares))


NETWORKS = [
    _convolutions,
    _pools,
    _epilogues,
    _shifts,
    _channels,
    _strides_and_batches,
    _movement_that_nothing_folds,
    _channels_of_zeros,
    _map_of_an_input_and_a_result,
    _matrices,
    _generic_operators,
    _inputs_as_they_are,
    _activations,
]


@pytest.mark.parametrize("body", NETWORKS)
def test_computes_what_tvm_does(body) -> None:
    check_compiled(module([SHAPE], body))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 1, 9), (3, 17, 2, 1), (1, 40, 3, 3)])
def test_shapes_that_fit_no_vector(shape) -> None:
    channels = shape[1]

    def body(emit, x):
        y = emit(op.nn.relu(emit(conv(x, weight(channels, channels, 3, 3), 1))))
        y = emit(op.add(emit(conv(y, weight(channels, 1, 3, 3), 1, groups=channels)), x))
        pooled = emit(op.nn.max_pool2d(y, (3, 3), padding=(1, 1)))
        return pooled, emit(op.matmul(emit(op.mean(pooled, [2, 3])), const(weight(channels, 7))))

    check_compiled(module([shape], body))


def test_several_inputs_and_a_repeated_output() -> None:
    def body(emit, x, y):
        z = emit(op.add(emit(conv(x, weight(4, 4, 1, 1))), y))
        return z, emit(op.nn.relu(z)), z

    check_compiled(module([(1, 4, 6, 6), (1, 4, 6, 6)], body))


@pytest.mark.usefixtures("threads_pay")
def test_threads_do_not_change_the_result() -> None:
    assert check_compiled(module([SHAPE], _epilogues), threads=2).threads == 2


@pytest.mark.parametrize("mcpu", ["haswell", "x86-64"])
def test_other_vector_widths(mcpu: str) -> None:
    mod = module([SHAPE], _shifts)
    target = tvm.target.Target({"kind": "llvm", "mcpu": mcpu})
    lowered = lower(fuse(canonicalize(mod)), target, 1, {})
    assert lowered.steps


def test_one_hot_shifts_with_fused_batch_norms() -> None:
    taps = [(c % 3, c // 3 % 3) for c in range(12)]

    def body(emit, x):
        y = emit(op.nn.relu(emit(conv(x, weight(12, 12, 1, 1)))))
        shifted = emit(conv(y, one_hot(taps, weight(12)), 1, groups=12))
        return emit(
            op.nn.relu(emit(conv(emit(op.add(shifted, channelwise(*range(12)))), weight(6, 12, 1, 1))))
        )

    program = check_compiled(module([SHAPE], body))
    assert [step.kind for step in program.steps] == ["layout", "indexed_conv", "indexed_conv", "layout"]
    assert [record.folded for record in program.index_maps] == [True]


def test_what_a_step_is() -> None:
    mod = module([(1, 16, 8, 8)], lambda emit, x: emit(op.nn.relu(emit(conv(x, weight(32, 16, 3, 3), 1)))))
    program = compiled(mod, node_of_var={"lv": "Conv_0", "gv": "Relu_1", "lv1": "Relu_1"})
    pack, step, unpack = program.steps
    assert (pack.kind, unpack.kind) == ("layout", "layout")
    assert pack.moves_only and unpack.moves_only and not step.moves_only
    assert step.stage == "Conv_0 + Relu_1"
    assert step.macs == 32 * 16 * 9 * 64
    assert step.bytes == 4 * (16 * 64 + 32 * 16 * 9 + 32 * 64)
    assert len({pack.name, step.name, unpack.name}) == 3


def test_steps_can_be_run_in_ranges() -> None:
    mod = module([SHAPE], _epilogues)
    program, inputs = compiled(mod), tensors(mod)
    expected = execute(program, inputs, outputs=reference(mod, inputs))
    arena = tvm.runtime.tensor(np.zeros(program.arena_bytes, np.uint8))
    constants = tvm.runtime.tensor(program.constants)
    outputs = [tvm.runtime.tensor(np.zeros_like(e)) for e in expected]
    arguments = [arena, constants, *[tvm.runtime.tensor(i) for i in inputs], *outputs]
    main = entry_of(program)
    for step in range(len(program.steps)):
        main(*arguments, step, step + 1)
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


def test_an_operator_without_a_kernel_is_named() -> None:
    mod = module([(2, 3)], lambda emit, x: emit(op.sort(x)))
    with pytest.raises(OperatorError, match=r"^no kernel for 'Sort_1'$"):
        lower(mod, AVX512, 1, {mod["main"].body.blocks[0].bindings[0].var.name: "Sort_1"})
