"""Traffic beyond a cache, counted: by hand on small programs, and beside what a program really writes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import attrs
import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import Expr, IRModule, Var
from tvm.relax import op

from schedules.machine import machine_of
from schedules.workload import Workload
from tests.machines import TARGET
from tests.passes.modules import (
    Emit,
    compiled,
    conv,
    entry_of,
    module,
    random_weight,
    tensors,
)
from tvm_passes import accesses
from tvm_passes.accesses import sweeps_of
from tvm_passes.compiled import Traffic
from tvm_passes.graph import Graph
from tvm_passes.line_cache import LineCache
from tvm_passes.lowered import Lowered
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.portions import Lines
from tvm_passes.relax_values import shape_of
from tvm_passes.tiling import NO_TILING, Tiling
from tvm_passes.traffic import traffic_of

ZEN4 = tvm.target.Target({"kind": "llvm", "mcpu": "znver4"})
ZEN3 = tvm.target.Target({"kind": "llvm", "mcpu": "znver3"})
LINE = 64
RANDOM = np.random.default_rng(4)
ROWS = COLUMNS = 16
PLANE = ROWS * COLUMNS
"""Lines of a tensor of 16 channels: a pixel is one vector of 16 lanes."""


Body = Callable[..., Expr]


def lines(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def used(
    cache: LineCache, read: tuple[int, ...] = (), written: tuple[int, ...] = ()
) -> tuple[list[int], list[int]]:
    missed, back = cache.use(lines(*read), lines(*written))
    return missed.tolist(), sorted(back.tolist())


# --- the cache ------------------------------------------------------------------------------------------


def test_what_fits_stays() -> None:
    cache = LineCache(8, capacity=4)
    assert used(cache, written=(0, 1)) == ([], [])
    assert used(cache, read=(0, 1), written=(2, 3)) == ([], [])
    assert used(cache, read=(0, 1, 2, 3)) == ([], [])


def test_the_least_recently_used_lines_leave_and_dirty_ones_are_written_back() -> None:
    cache = LineCache(8, capacity=4)
    used(cache, written=(0, 1))
    used(cache, read=(2, 3))
    used(cache, read=(0,))
    assert used(cache, read=(4,)) == ([4], [1])  # 1 was used before 2, 3 and 0
    assert used(cache, read=(5,)) == ([5], [])  # 2 and 3 leave: they are clean
    assert used(cache, read=(0, 1)) == ([1], [])


def test_a_line_is_written_back_once_for_every_time_it_was_written() -> None:
    cache = LineCache(4, capacity=1)
    assert used(cache, written=(0,)) == ([], [])
    assert used(cache, read=(1,)) == ([1], [0])
    assert used(cache, read=(0,)) == ([0], [])
    assert used(cache, read=(1,)) == ([1], [])
    assert used(cache, written=(0,)) == ([], [])
    assert used(cache, read=(1,)) == ([1], [0])


def test_more_than_fits_at_once_leaves_at_once() -> None:
    cache = LineCache(8, capacity=2)
    assert used(cache, written=(0, 1, 2)) == ([], [0, 1, 2])
    assert used(cache, read=(2,)) == ([2], [])


# --- programs -------------------------------------------------------------------------------------------


def pointwise(emit: Emit, x: Expr) -> Var:
    return emit(conv(x, random_weight(RANDOM, 16, 16, 1, 1)))


def body(stages: int) -> IRModule:
    def build(emit: Emit, x: Var) -> Expr:
        y: Expr = x
        for _ in range(stages):
            y = emit(op.nn.relu(pointwise(emit, y)))
        return y

    return module([(1, 16, ROWS, COLUMNS)], build)


def lowered(mod: IRModule, tiling: Tiling = NO_TILING) -> Lowered:
    return lower_module(mod, ZEN4, PipelineOptions(tiling=tiling))


def traffic(program: Lowered, cache_lines: int) -> list[Traffic]:
    return list(traffic_of(program, attrs.evolve(machine_of(ZEN4), l2_bytes=cache_lines * LINE)))


def test_in_a_cache_that_holds_everything_nothing_is_fetched() -> None:
    program = lowered(body(2))
    packed, *stages, unpacked = traffic(program, 10_000)
    assert packed == Traffic(written=PLANE * LINE)
    assert stages == 2 * [Traffic(read=PLANE * LINE, written=PLANE * LINE)]
    assert unpacked == Traffic(read=PLANE * LINE)


def test_what_is_evicted_between_two_stages_is_read_again() -> None:
    program = lowered(body(2))
    steps = packed, first, second, unpacked = traffic(program, PLANE // 4)
    assert packed.reread == 0
    assert second.reread == unpacked.reread == PLANE * LINE
    # the packed image is read pixel by pixel through all its planes: the last line of the last is still there
    assert first.reread == (PLANE - 1) * LINE
    # every line is written once and leaves the cache once; the last ones in the course of the next step
    assert Traffic.total(steps).written_back == 3 * PLANE * LINE
    weights = 16 * 16 * 4
    assert min(first.constants, second.constants) >= weights


def test_the_count_falls_steadily_as_the_cache_grows() -> None:
    program = lowered(body(4))
    counts = [Traffic.total(traffic(program, size)) for size in (64, 256, 512, 1024, 4096)]
    for smaller, larger in pairwise(counts):
        assert smaller.reread >= larger.reread
        assert smaller.written_back >= larger.written_back
        assert (smaller.read, smaller.written) == (larger.read, larger.written)
    assert counts[0].reread == (5 * PLANE - 1) * LINE and counts[-1].reread == 0


def test_tensors_that_share_memory_share_lines() -> None:
    program = lowered(body(6))
    assert program.arena_bytes < 3 * PLANE * LINE  # six tensors, two of them at a time
    constants = -(-program.constants.nbytes // LINE)
    edges = 2 * PLANE  # input and output
    total = Traffic.total(traffic(program, 2 * PLANE + constants + edges + 16))
    assert total == Traffic(read=7 * PLANE * LINE, written=7 * PLANE * LINE)


def test_rings_keep_a_chain_in_a_cache_that_does_not_hold_a_tensor() -> None:
    chain = lowered(body(4), Tiling(stages=4, tiles=ROWS, forced=True))
    assert [step.kind for step in chain.steps] == ["layout", "chain", "layout"]
    apart = lowered(body(4))
    inside = traffic(chain, PLANE)[1]
    assert inside.reread <= PLANE * LINE  # what was packed, nothing of its own
    assert Traffic.total(traffic(apart, PLANE)).reread >= 4 * PLANE * LINE
    assert inside.read == 4 * PLANE * LINE and inside.written == 4 * PLANE * LINE


def test_the_halo_of_a_window_is_read_again_only_by_count() -> None:
    """A row that three tiles read is read three times, and fetched once."""

    def three(emit: Emit, x: Var) -> Expr:
        y = pointwise(emit, x)
        return emit(conv(y, random_weight(RANDOM, 16, 1, 3, 3), padding=1, groups=16))

    mod = module([(1, 16, ROWS, COLUMNS)], three)
    chain = lowered(mod, Tiling(stages=2, tiles=ROWS, forced=True))
    inside = traffic(chain, 6 * PLANE)[1]
    assert inside.reread == 0
    assert inside.read > 3 * PLANE * LINE


def test_pixels_that_the_cache_cannot_hold_are_read_once_for_all_outputs() -> None:
    """In chunks that stay there while all panels of outputs are computed."""

    def wide(emit: Emit, x: Var) -> Expr:
        y = emit(op.nn.relu(emit(conv(x, random_weight(RANDOM, 384, 16, 1, 1)))))
        return emit(conv(y, random_weight(RANDOM, 128, 384, 1, 1)))

    program = lower_module(module([(1, 16, 28, 28)], wide), ZEN3, PipelineOptions(tiling=NO_TILING))
    step = list(traffic_of(program, machine_of(ZEN3)))[-2]
    tensor = 4 * 384 * 28 * 28
    assert machine_of(ZEN3).l2_bytes < tensor / 2
    assert 0.5 * tensor < step.reread < 1.3 * tensor


def test_every_kind_of_workload_is_known() -> None:
    assert set(accesses._KINDS) == set(get_args(Workload))


# --- what kernels touch, beside what the model says ------------------------------------------------------


def convolutions(emit: Emit, x: Var) -> Expr:
    """Pointwise, depthwise, dense (Winograd's form where there is one), strided, grouped, with a sum."""
    y = emit(op.nn.relu(emit(conv(x, random_weight(RANDOM, 48, 16, 1, 1)))))
    z = emit(conv(y, random_weight(RANDOM, 48, 1, 3, 3), padding=1, groups=48))
    w = emit(op.add(emit(conv(z, random_weight(RANDOM, 48, 48, 3, 3), padding=1)), y))
    g = emit(conv(w, random_weight(RANDOM, 48, 12, 3, 3), padding=1, groups=4))
    return emit(conv(g, random_weight(RANDOM, 24, 48, 3, 3), padding=1, strides=2))


def others(emit: Emit, x: Var) -> Expr:
    """Pools, normalizations, an operator without a template."""
    y = emit(op.nn.max_pool2d(pointwise(emit, x), (3, 3), (2, 2), padding=(1, 1)))
    z = emit(op.nn.softmax(pointwise(emit, y), axis=1))
    ones = relax.const(np.ones(16, "float32"))
    g = emit(op.nn.group_norm(pointwise(emit, z), ones, ones, 4, channel_axis=1, axes=[2, 3]))
    s = emit(op.nn.avg_pool2d(pointwise(emit, g), (4, 4), (4, 4)))
    return emit(op.max(s, axis=[3]))


@pytest.mark.parametrize("body", [convolutions, others])
@pytest.mark.parametrize("tiles", [1, 4])
def test_kernels_write_the_lines_that_the_model_says_and_read_no_others(body: Body, tiles: int) -> None:
    """Step by step: what changes of an arena full of noise; and what lies elsewhere does not matter."""
    mod = module([(1, 16, ROWS, COLUMNS)], body)
    tiling = Tiling(tiles=tiles, forced=True) if tiles > 1 else NO_TILING
    program, low = compiled(mod, tiling=tiling), lower_module(mod, TARGET, PipelineOptions(tiling=tiling))
    main, numbered = entry_of(program), Lines.of(low, LINE)
    arena, poisoned = noise(low.arena_bytes), np.empty(low.arena_bytes, np.uint8)
    constants, inputs = tvm.runtime.tensor(program.constants), map(tvm.runtime.tensor, tensors(mod, 1))
    outputs = [tvm.runtime.tensor(np.zeros(shape_of(v), "float32")) for v in Graph.read(mod).outputs]
    rest = (constants, *inputs, *outputs)

    def run(memory: np.ndarray, step: int) -> np.ndarray:
        tensor = tvm.runtime.tensor(memory)
        main(tensor, *rest, step, step + 1)
        return tensor.numpy()

    for step, call in enumerate(low.calls):
        touched = [numbered.whole(sweeps_of(i, low.constants)) for i in call.invocations]
        read, written = (
            in_arena([getattr(portion, name) for portion in touched], low.arena_bytes)
            for name in ("read", "written")
        )
        after, results = run(arena, step), [o.numpy() for o in outputs]
        assert np.array_equal((lines_of(after) != lines_of(arena)).any(axis=1), written), call.record
        poisoned[:] = arena
        lines_of(poisoned)[~(read | written)] = 255  # not a number
        again = run(poisoned, step)
        np.testing.assert_array_equal(lines_of(again)[written], lines_of(after)[written])
        for output, result in zip(outputs, results, strict=True):
            np.testing.assert_array_equal(output.numpy(), result)
        arena = after


def noise(size: int) -> np.ndarray:
    """Bytes of numbers like those of activations; a whole number of lines."""
    return RANDOM.standard_normal(size // 4).astype("float32").view(np.uint8)


def lines_of(memory: np.ndarray) -> np.ndarray:
    return memory[: len(memory) // LINE * LINE].reshape(-1, LINE)


def in_arena(numbers: list[np.ndarray], size: int) -> np.ndarray:
    """Which lines of the arena are among those numbered."""
    chosen = np.concatenate(numbers)
    return np.isin(np.arange(size // LINE), chosen)


def test_what_lies_between_the_walked_portions_counts_as_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planes of sixteen times the cache: walked whole, and at their beginnings and ends."""

    def body(emit: Emit, x: Var) -> Expr:
        x = emit(op.nn.relu(conv(x, random_weight(RANDOM, 16, 16, 1, 1))))
        return emit(conv(x, random_weight(RANDOM, 16, 16, 3, 3), padding=1))

    lowered = lower_module(module([(1, 16, 64, 64)], body), ZEN3, PipelineOptions(winograd=False))
    machine = attrs.evolve(machine_of(ZEN3), l2_bytes=16 << 10)
    monkeypatch.setattr("tvm_passes.traffic._WALKED", 10_000)
    whole = traffic_of(lowered, machine)
    monkeypatch.setattr("tvm_passes.traffic._WALKED", 80)
    parts = traffic_of(lowered, machine)
    assert parts != whole
    for part, all_of_it in zip(parts, whole, strict=True):
        assert (part.read, part.written) == (all_of_it.read, all_of_it.written)
        for name in ("reread", "written_back", "constants"):
            walked, expected = getattr(part, name), getattr(all_of_it, name)
            assert walked % machine.cache_line == 0
            assert abs(walked - expected) <= 0.05 * (all_of_it.read + all_of_it.written), name
