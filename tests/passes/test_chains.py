"""Chains of stages, tile by tile: they compute what stages one after the other do, in less memory."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tvm.ir import Expr, IRModule, Var
from tvm.relax import op

from tests.machines import AVX512
from tests.passes.chaining import chained, chains_in, check_chained
from tests.passes.modules import (
    Array,
    Emit,
    check_planned,
    compiled,
    const,
    conv,
    gathered,
    joined,
    module,
    moved,
    planned,
    random_weight,
    through,
)
from tests.passes.test_clips import temporal
from tvm_passes.relax_values import shape_of
from tvm_passes.tiling import NO_TILING, Tiling
from tvm_passes.within_memory import MemoryLimitError

RANDOM = np.random.default_rng(12)
SHAPE = (1, 16, 13, 11)
Body = Callable[..., Expr | tuple[Expr, ...]]


def weight(*shape: int) -> Array:
    return random_weight(RANDOM, *shape)


def pointwise(emit: Emit, x: Expr, outputs: int) -> Var:
    return emit(conv(x, weight(outputs, shape_of(x)[1], 1, 1)))


def square(emit: Emit, x: Expr, outputs: int, size: int = 3, strides: int = 1) -> Var:
    return emit(conv(x, weight(outputs, shape_of(x)[1], size, size), size // 2, strides))


def depthwise(emit: Emit, x: Expr, strides: int = 1) -> Var:
    channels = shape_of(x)[1]
    return emit(conv(x, weight(channels, 1, 3, 3), 1, strides, groups=channels))


def relu(emit: Emit, x: Expr) -> Var:
    return emit(op.nn.relu(x))


def add(emit: Emit, x: Expr, y: Expr) -> Var:
    return emit(op.add(x, y))


# --- blocks of networks ---------------------------------------------------------------------------------


def conv_shift_conv(emit: Emit, x: Var) -> Expr:
    """CSC: Jeon & Kim, "Constructing Fast Network through Deconstruction of Convolution", NeurIPS 2018."""
    y = relu(emit, pointwise(emit, x, 32))
    offsets = [(c % 3 - 1, c // 3 % 3 - 1) for c in range(32)]
    z = pointwise(emit, emit(through(moved(offsets, shape_of(y)), y)), 16)
    return relu(emit, add(emit, z, x))


def inverted_bottleneck(emit: Emit, x: Var) -> Expr:
    """MobileNet V2: Sandler et al., CVPR 2018."""
    y = depthwise(emit, relu(emit, pointwise(emit, x, 32)))
    return add(emit, pointwise(emit, emit(op.clip(y, 0, 6)), 16), x)


def strided_bottleneck(emit: Emit, x: Var) -> Expr:
    return pointwise(emit, relu(emit, depthwise(emit, relu(emit, pointwise(emit, x, 32)), 2)), 24)


def grouped_unit(emit: Emit, x: Var) -> Expr:
    """VarGNet: Zhang et al., 2019."""
    y = relu(emit, emit(conv(pointwise(emit, x, 32), weight(32, 8, 3, 3), 1, groups=4)))
    return add(emit, pointwise(emit, y, 16), x)


def basic_block(emit: Emit, x: Var) -> Expr:
    """ResNet: He et al., CVPR 2016."""
    return relu(emit, add(emit, square(emit, relu(emit, square(emit, x, 16)), 16), x))


def preactivated_block(emit: Emit, x: Var) -> Expr:
    """The sum behind the activation, its other operand a convolution too."""
    y = relu(emit, square(emit, x, 32, strides=2))
    return add(emit, square(emit, x, 16, 1, 2), relu(emit, square(emit, y, 16)))


def two_strides(emit: Emit, x: Var) -> Expr:
    y = relu(emit, square(emit, x, 16, 5, 2))
    return square(emit, y, 16, 3, 3)


def pools(emit: Emit, x: Var) -> Expr:
    y = emit(op.nn.max_pool2d(relu(emit, pointwise(emit, x, 32)), (3, 3), (2, 2), (1, 1)))
    z = emit(op.nn.avg_pool2d(pointwise(emit, y, 16), (3, 3), padding=(1, 1), count_include_pad=True))
    return emit(op.nn.avg_pool2d(pointwise(emit, z, 16), (2, 2), (1, 1), (1, 1)))


def shuffled_halves(emit: Emit, x: Var) -> Expr:
    """ShuffleNet V2: Ma et al., ECCV 2018."""
    y = relu(emit, pointwise(emit, x, 16))
    z = relu(emit, pointwise(emit, depthwise(emit, y), 16))
    shuffle = gathered([shape_of(y), shape_of(z)], [(k, c) for c in range(16) for k in (0, 1)])
    return square(emit, emit(through(shuffle, y, z)), 16)


def concatenated(emit: Emit, x: Var) -> Expr:
    y, z = square(emit, x, 20), pointwise(emit, x, 12)
    return add(emit, pointwise(emit, emit(joined(y, z)), 12), z)


def gated(emit: Emit, x: Var) -> Expr:
    """An operand of the chain that has one number a channel, computed before it."""
    gate = emit(op.sigmoid(emit(op.mean(pointwise(emit, x, 16), [2, 3], keepdims=True))))
    y = square(emit, emit(op.multiply(square(emit, x, 16), gate)), 16)
    return add(emit, emit(op.multiply(y, gate)), x)


def stem(emit: Emit, x: Var) -> Expr:
    """An image that is read where the caller has it: pixels at its border are cut off their taps."""
    y = relu(emit, square(emit, x, 16, 7, 2))
    return square(emit, emit(op.nn.max_pool2d(y, (3, 3), (2, 2), (1, 1))), 16)


def dead_channels(emit: Emit, x: Var) -> Expr:
    """A map of which some channels read nothing."""
    y = pointwise(emit, x, 24)
    some = gathered([shape_of(y)], [None if c % 5 == 1 else (0, c) for c in range(24)])
    return square(emit, emit(through(some, y)), 16)


CASES: list[tuple[Body, tuple[int, ...], int, str]] = [
    (conv_shift_conv, SHAPE, 4, "2x4"),
    (inverted_bottleneck, (2, 16, 13, 11), 5, "3x5"),
    (strided_bottleneck, SHAPE, 3, "3x3"),
    (grouped_unit, SHAPE, 13, "3x13"),
    (basic_block, (2, 16, 13, 11), 4, "2x4"),
    (preactivated_block, SHAPE, 3, "3x3"),
    (two_strides, (1, 8, 23, 10), 2, "2x2"),
    (pools, SHAPE, 4, "6x4"),
    (shuffled_halves, SHAPE, 5, "4x5"),
    (concatenated, SHAPE, 2, "3x2"),
    (gated, SHAPE, 3, "2x3"),
    (stem, (1, 3, 61, 59), 4, "3x4"),
    (dead_channels, SHAPE, 4, "2x4"),
]


@pytest.mark.parametrize(("body", "shape", "tiles", "chain"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_block_as_a_chain(body: Body, shape: tuple[int, ...], tiles: int, chain: str) -> None:
    """The same bits: sums are those of the whole plane, in the same order."""
    program = check_chained(module([shape], body), tiles, pairing=False, winograd=False)
    assert chains_in(program) == [chain]


@pytest.mark.parametrize("tiles", range(2, 8))
def test_any_number_of_tiles(tiles: int) -> None:
    mod = module([(1, 16, 7, 5)], inverted_bottleneck)
    (chain,) = chains_in(check_chained(mod, tiles, against_tvm=False))
    height = -(-7 // tiles)
    assert chain == f"3x{-(-7 // height)}"


def test_one_tile_is_no_chain() -> None:
    assert chains_in(chained(module([SHAPE], basic_block), 1)) == []


def test_paired_products_differ_in_their_last_bits_at_most() -> None:
    check_chained(module([SHAPE], conv_shift_conv), 4, 1e-6, winograd=False)


@pytest.mark.parametrize("groups", [1, 8])
def test_winograds_form_in_a_chain(groups: int) -> None:
    def body(emit: Emit, x: Var) -> Expr:
        y = relu(emit, pointwise(emit, x, 64))
        z = emit(conv(y, weight(64, 64 // groups, 3, 3), 1, groups=groups))
        return pointwise(emit, relu(emit, add(emit, z, y)), 16)

    mod = module([(1, 16, 26, 28)], body)
    assert "winograd_conv" in [step.kind for step in compiled(mod).steps]
    assert len(chains_in(check_chained(mod, 4, 1e-6))) == 1


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("body", [shuffled_halves, gated])
def test_two_threads(body: Body) -> None:
    program = check_chained(module([SHAPE], body), 4, 1e-6, against_tvm=False, threads=2)
    assert program.threads == 2
    assert chains_in(program)


def test_an_operand_with_another_halo_ends_the_chain() -> None:
    def body(emit: Emit, x: Var) -> Expr:
        y = pointwise(emit, pointwise(emit, x, 24), 16)
        rolled = emit(through(moved([(1, 0), (0, -1)] * 8, shape_of(y), "wrap"), y))
        return square(emit, pointwise(emit, rolled, 24), 16)

    kinds = [step.kind for step in check_chained(module([SHAPE], body), 3, 1e-6).steps]
    assert [kind for kind in kinds if kind != "layout"] == [
        "indexed_conv",
        "indexed_conv",
        "movement",
        "chain",
    ]


def test_images_that_are_computed_later_are_not_read() -> None:
    shape = (3, 16, 9, 7)
    along_time = temporal(None, (1, -1, *[0] * 14), "zero", shape)

    def body(emit: Emit, x: Var) -> Expr:
        y = pointwise(emit, pointwise(emit, x, 16), 16)
        return square(emit, pointwise(emit, emit(through(along_time, y)), 16), 16)

    assert chains_in(check_chained(module([shape], body), 3, 1e-6)) == ["2x3"]


def test_stages_of_fewer_images_are_chained_apart() -> None:
    def body(emit: Emit, x: Var, y: Var) -> tuple[Expr, ...]:
        a, b = pointwise(emit, pointwise(emit, x, 16), 16), pointwise(emit, y, 16)
        return square(emit, a, 16), square(emit, b, 16)

    chains = chains_in(check_chained(module([SHAPE, (2, 16, 13, 11)], body), 3, 1e-6))
    assert chains == ["2x3"]


# --- the choice -----------------------------------------------------------------------------------------


def narrow_wide_narrow(emit: Emit, x: Var) -> Expr:
    """A hidden tensor of eight times the channels, of which a chain keeps a few rows."""
    return pointwise(emit, depthwise(emit, relu(emit, pointwise(emit, x, 128))), 16)


WIDE = (1, 16, 24, 12)


def test_chains_shrink_the_arena() -> None:
    mod = module([WIDE], narrow_wide_narrow)
    apart = planned(mod, AVX512)
    program = check_planned(mod, tiling=Tiling(stages=8))
    assert chains_in(program)
    assert program.arena_bytes < 0.5 * apart.arena_bytes
    assert program.arena_lower_bound_bytes <= program.arena_bytes
    assert program.arena_lower_bound_bytes < apart.arena_lower_bound_bytes


def test_chains_are_no_longer_and_of_no_more_tiles_than_asked_for() -> None:
    mod = module([WIDE], narrow_wide_narrow)
    assert chains_in(planned(mod, AVX512, tiling=Tiling(stages=2, tiles=6)))[0] == "2x6"
    assert chains_in(planned(mod, AVX512, tiling=Tiling(stages=3, tiles=4))) == ["3x4"]
    for tiling in (NO_TILING, Tiling(tiles=1), Tiling(stages=3, tiles=1)):
        assert chains_in(planned(mod, AVX512, tiling=tiling)) == []
    assert chains_in(planned(mod, AVX512, tiling=Tiling(stages=8), opt_level=2)) == []


def test_memory_decides_where_it_is_limited() -> None:
    mod = module([WIDE], narrow_wide_narrow)
    apart, smallest = planned(mod, AVX512), planned(mod, AVX512, tiling=Tiling(stages=8))
    between = (apart.arena_bytes + smallest.arena_bytes) // 2
    for limit in (apart.arena_bytes, between, smallest.arena_bytes):
        program = planned(mod, AVX512, tiling=Tiling(max_memory=limit))
        assert program.arena_bytes <= limit
    assert chains_in(program)


@pytest.mark.parametrize("tiling", [Tiling(), Tiling(stages=8), NO_TILING])
def test_what_does_not_fit_is_refused(tiling: Tiling) -> None:
    """The smallest that is named is one that can be asked for."""
    mod = module([WIDE], narrow_wide_narrow)
    with pytest.raises(MemoryLimitError) as refused:
        planned(mod, AVX512, tiling=attrs.evolve(tiling, max_memory=1000))
    words = str(refused.value).split()
    assert words[-3:] == ["1000", "are", "allowed"]
    smallest = int(words[words.index("takes") + 1])
    assert planned(mod, AVX512, tiling=attrs.evolve(tiling, max_memory=smallest)).arena_bytes <= smallest


# --- many ----------------------------------------------------------------------------------------------


@attrs.frozen
class Unit:
    """A convolution, something between, and a convolution whose sum with another tensor follows."""

    rows: int
    columns: int
    batch: int
    channels: int
    hidden: int
    kernels: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    paddings: tuple[int, int]
    tiles: int

    def convolved(self, emit: Emit, x: Var, number: int, outputs: int) -> Var:
        """With a smaller kernel where the plane is too small."""
        kernel, dilation, padding = (a[number] for a in (self.kernels, self.dilations, self.paddings))
        shortest = min(shape_of(x)[2:]) + 2 * padding
        while (kernel - 1) * dilation >= shortest:
            kernel -= 1
        filters = const(weight(outputs, shape_of(x)[1], kernel, kernel))
        strides = (self.strides[number],) * 2
        return emit(op.nn.conv2d(x, filters, strides, padding, (dilation, dilation)))

    def module(self, between: Callable[[Emit, Var], Var], order: str, swapped: bool) -> IRModule:
        def body(emit: Emit, x: Var) -> Expr:
            y = between(emit, relu(emit, self.convolved(emit, x, 0, self.hidden)))
            z = self.convolved(emit, y, 1, self.channels)
            branch = self._like(emit, y, z)
            if order == "after":
                z = relu(emit, z)
            total = add(emit, branch, z) if swapped else add(emit, z, branch)
            return relu(emit, total) if order == "before" else total

        return module([(self.batch, self.channels, self.rows, self.columns)], body)

    def _like(self, emit: Emit, y: Var, z: Var) -> Var:
        """What is added: the operand itself if it has the result's shape, else another convolution of it."""
        return y if shape_of(y) == shape_of(z) else self.convolved(emit, y, 1, self.channels)


def two(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


UNITS = st.builds(
    Unit,
    rows=st.integers(3, 21),
    columns=st.integers(3, 17),
    batch=st.sampled_from([1, 1, 2]),
    channels=st.sampled_from([3, 8, 16, 20]),
    hidden=st.sampled_from([4, 16, 20, 32]),
    kernels=two(1, 7),
    strides=two(1, 3),
    dilations=two(1, 2),
    paddings=two(0, 3),
    tiles=st.integers(2, 21),
)


def shifted(emit: Emit, x: Var) -> Var:
    offsets = [(c % 5 - 2, c // 5 % 3 - 1) for c in range(shape_of(x)[1])]
    return emit(through(moved(offsets, shape_of(x)), x))


def joined_with_itself(emit: Emit, x: Var) -> Var:
    return emit(joined(pointwise(emit, x, 12), x))


BETWEEN: dict[str, Callable[[Emit, Var], Var]] = {
    "nothing": lambda emit, x: x,
    "shift": shifted,
    "depthwise": depthwise,
    "max": lambda emit, x: emit(op.nn.max_pool2d(x, (3, 3), (1, 1), (1, 1))),
    "avg": lambda emit, x: emit(op.nn.avg_pool2d(x, (2, 2), (2, 2), (1, 1))),
    "groups": lambda emit, x: relu(emit, emit(conv(x, weight(16, shape_of(x)[1] // 4, 3, 3), 1, groups=4))),
    "concat": joined_with_itself,
}


@pytest.mark.slow
@pytest.mark.parametrize("order", ["before", "after", "without"])
@pytest.mark.parametrize("between", BETWEEN)
@settings(max_examples=26, suppress_health_check=list(HealthCheck), print_blob=True)
@given(unit=UNITS, swapped=st.booleans())
def test_units_of_any_window(unit: Unit, between: str, order: str, swapped: bool) -> None:
    """With the sum before an activation, after one, or without any; its operands in both orders."""
    mod = unit.module(BETWEEN[between], order, swapped)
    check_chained(mod, unit.tiles, 1e-6, against_tvm=False)


def test_forced_chains_are_not_held_to_a_memory() -> None:
    with pytest.raises(ValueError, match="max_memory"):
        Tiling(tiles=2, max_memory=1000, forced=True)
