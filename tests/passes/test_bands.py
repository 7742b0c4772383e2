"""Chains in bands: every task computes the whole chain for its own rows or images, waiting for nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm.ir import Expr, IRModule, Var
from tvm.relax import op

from schedules.parallelism import WAKING_CYCLES
from shiftc.runtime.threads import use_threads
from tests.machines import AVX512
from tests.passes.chaining import chained, chains_in, check_chained
from tests.passes.modules import Emit, conv, entry_of, joined, module, planned, values
from tests.passes.test_chains import (
    Body,
    basic_block,
    inverted_bottleneck,
    narrow_wide_narrow,
    shuffled_halves,
    stem,
    strided_bottleneck,
    two_strides,
)
from tests.passes.test_row_tiles import (
    CHOICES,
    MACHINE,
    Choice,
    Rows,
    chains_of,
    input_of,
    network,
    stages_among,
    steps_of,
    tall,
    two_convolutions,
)
from tvm_passes.bands import bands_of
from tvm_passes.chain_cost import Costs
from tvm_passes.lowering.clearing import with_clearing
from tvm_passes.lowering.context import LoweringContext, tasks_of_run
from tvm_passes.lowering.steps import ChainStep, StageStep, Step
from tvm_passes.lowering.threads import threads_pay
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.place import place
from tvm_passes.placement import Blocked, RollingMemory
from tvm_passes.roll import roll
from tvm_passes.row_tiles import RowTiles
from tvm_passes.tiling import Tiling


def banded(
    steps: Sequence[Step], chain: Sequence[StageStep], height: int, tasks: int
) -> tuple[RowTiles, ...] | str:
    others = [step for step in steps if step not in chain]
    return bands_of(chain, {t for s in others for t in s.tensors if isinstance(t, Blocked)}, height, tasks)


def bands_in(mod: IRModule, height: int, tasks: int) -> tuple[RowTiles, ...]:
    """Of all stages of the module."""
    steps = steps_of(mod)
    bands = banded(steps, stages_among(steps), height, tasks)
    assert not isinstance(bands, str)
    return bands


def refused(mod: IRModule, tasks: int = 2, height: int = 8) -> str:
    steps = steps_of(mod)
    reason = banded(steps, next(chains_of(steps)), height, tasks)
    assert isinstance(reason, str)
    return reason


# --- followed row by row --------------------------------------------------------------------------------


def follow(bands: Sequence[RowTiles], read_elsewhere: set[Blocked]) -> None:
    """Each band has all rows that it reads; no two write the same rows of a tensor that both have."""
    rolled = roll(bands).bands
    written: dict[Blocked, list[int]] = {}
    for band in rolled:
        Rows(band).run()
        for step, cuts in zip(band.stages, band.cuts, strict=True):
            written.setdefault(step.output, []).extend(
                image * step.stage.shape[2] + row for image in band.images for row in range(cuts[0], cuts[-1])
            )
    last = rolled[0].stages[-1].output
    for tensor, rows in written.items():
        everything = range(tensor.extent.batch * tensor.extent.rows)
        assert len(rows) == len(set(rows))
        assert set(rows) <= set(everything)
        if tensor in read_elsewhere or tensor is last:
            assert sorted(rows) == list(everything)
    assert len({t for band in rolled for ring in band.rings for t in ring.tensors}) == sum(
        len(ring.tensors) for band in rolled for ring in band.rings
    )


@settings(max_examples=60)
@given(
    st.integers(2, 24),
    st.integers(1, 4),
    st.integers(2, 4),
    st.lists(CHOICES, min_size=2, max_size=6),
    st.data(),
)
def test_every_band_has_the_rows_that_it_reads(
    rows: int, batch: int, tasks: int, choices: list[Choice], data: st.DataObject
) -> None:
    steps = steps_of(network(rows, batch, choices))
    for chain in chains_of(steps):
        height = data.draw(st.integers(1, chain[-1].stage.shape[2]))
        bands = banded(steps, chain, height, tasks)
        if isinstance(bands, str):
            assert "rows" in bands
            continue
        assert len(bands) == tasks
        others = {t for s in steps if s not in chain for t in s.tensors if isinstance(t, Blocked)}
        follow(bands, others)


def test_a_band_may_read_nothing_but_padding() -> None:
    """All that it reads lies below the plane, whose rows others compute."""

    def body(emit: Emit, x: Var) -> Expr:
        return emit(tall(emit(tall(x, 1)), 1, padding=(0, 3)))

    bands = bands_in(module([input_of(2)], body), 1, 3)
    assert [band.cuts[0] for band in bands] == [(0, 1), (1, 2, 2), (2, 2, 2)]
    follow(bands, set())


@pytest.mark.parametrize("tasks", [2, 3])
def test_winograds_rows_begin_with_a_tile(tasks: int) -> None:
    def body(emit: Emit, x: Var) -> Expr:
        y = emit(conv(emit(conv(x, values(64, 16, 1, 1))), values(64, 64, 3, 3), 1))
        return emit(op.add(emit(conv(emit(conv(y, values(64, 64, 1, 1))), values(64, 64, 3, 3), 1)), y))

    steps = steps_of(module([(1, 16, 27, 16)], body), MACHINE)
    (chain,) = chains_of(steps)
    bands = banded(steps, chain, 7, tasks)
    assert not isinstance(bands, str)
    for band in bands:
        for step, cuts in zip(band.stages, band.cuts, strict=True):
            assert cuts[0] % step.row_step == 0
    follow(bands, set())
    scratch = [t for band in roll(bands).bands for s in band.stages if s.winograd for t in s.winograd.scratch]
    assert len(scratch) == len({id(t) for t in scratch}) == 4 * tasks


# --- examples that are small enough to check by hand ----------------------------------------------------


def test_both_bands_compute_the_halo() -> None:
    """Two windows of three rows: one row of the first result is read on both sides of the seam."""
    upper, lower = bands_in(two_convolutions(8), 4, 2)
    assert (upper.cuts, lower.cuts) == (((0, 5), (0, 4)), ((3, 8), (4, 8)))
    assert [(r.kept, r.firsts, r.lasts) for r in upper.rings + lower.rings] == [
        (6, (-1,), (5,)),
        (6, (3,), (9,)),
    ]


def test_bands_in_tiles() -> None:
    upper, lower = bands_in(two_convolutions(8), 2, 2)
    assert (upper.cuts, lower.cuts) == (((0, 3, 5), (0, 2, 4)), ((3, 7, 8), (4, 6, 8)))


def test_the_halo_grows_with_the_stages_in_front_of_it() -> None:
    def body(emit: Emit, x: Var) -> Expr:
        for _ in range(4):
            x = emit(tall(x, 3, 1, 1, (1, 1)))
        return x

    bands = bands_in(module([input_of(12)], body), 12, 3)
    assert [[(c[0], c[-1]) for c in band.cuts] for band in bands] == [
        [(0, 7), (0, 6), (0, 5), (0, 4)],
        [(1, 11), (2, 10), (3, 9), (4, 8)],
        [(5, 12), (6, 12), (7, 12), (8, 12)],
    ]


def test_a_stride_of_two_shares_one_row() -> None:
    upper, lower = bands_in(two_convolutions(8, stride=2), 4, 2)
    assert (upper.cuts, lower.cuts) == (((0, 4), (0, 2)), ((3, 8), (2, 4)))


def test_windows_of_one_row_share_none() -> None:
    """Then rows of a plane are apart, and there is no ring."""
    for band in bands_in(two_convolutions(7, kernel=1), 4, 2):
        assert len(set(band.cuts)) == 1
        assert band.rings == ()


def test_images_are_shared_where_tasks_divide_them() -> None:
    mod = module([input_of(8, batch=4)], lambda emit, x: emit(tall(emit(tall(x, 3, 1, 1, (1, 1))), 3)))
    first, second = bands_in(mod, 3, 2)
    assert (first.images, second.images) == (range(2), range(2, 4))
    assert first.cuts == second.cuts == ((0, 5, 8), (0, 3, 6))
    assert {band.images for band in bands_in(mod, 3, 3)} == {range(4)}


# --- refusals -------------------------------------------------------------------------------------------

WRITTEN_TWICE = "tasks would write the same rows of .*, which not each can have for itself"


def test_fewer_rows_than_tasks_refuse() -> None:
    assert refused(two_convolutions(2), 3) == "its result has too few rows for all tasks"


def test_rows_of_the_halo_that_other_steps_read_refuse() -> None:
    """An output of the program beside the chain's: one plane, which two tasks would write."""

    def output(emit: Emit, x: Var) -> tuple[Expr, ...]:
        y = emit(tall(x, 1))
        return y, emit(tall(y, 3))

    assert re.match(WRITTEN_TWICE, refused(module([input_of(8)], output)))


def test_rows_of_the_halo_that_are_read_beside_other_tensors_refuse() -> None:
    """Tensors that are read side by side lie in memories of one shape; one of them is not the chain's."""

    def body(emit: Emit, x: Var) -> Expr:
        a = emit(op.nn.softmax(emit(tall(x, 1)), axis=1))
        b = emit(tall(emit(tall(a, 1)), 1))
        return emit(tall(emit(joined(a, b)), 3))

    steps = steps_of(module([input_of(8)], body))
    *_, chain = chains_of(steps)
    reason = banded(steps, chain, 8, 2)
    assert isinstance(reason, str) and re.match(WRITTEN_TWICE, reason)


def test_rows_that_only_other_steps_read_refuse() -> None:
    """The chain reads every third row; the others are read behind it."""

    def body(emit: Emit, x: Var) -> tuple[Expr, ...]:
        y = emit(tall(x, 1))
        return y, emit(tall(y, 1, 3))

    reason = refused(module([input_of(12)], body))
    assert re.match("rows of .* would be left out that other steps read", reason)


# --- memory ---------------------------------------------------------------------------------------------


def rolled_steps(mod: IRModule, tasks: int, stages: int | None = None) -> list[Step]:
    """The first chain, or so many stages of it, in bands."""
    steps = steps_of(mod)
    chain = next(chains_of(steps))[:stages]
    bands = banded(steps, chain, 8, tasks)
    assert not isinstance(bands, str)
    first = steps.index(chain[0])
    return [*steps[:first], roll(bands), *steps[first + len(chain) :]]


def test_rings_of_bands_lie_apart_and_nothing_is_overwritten() -> None:
    """A residual would fit under its sum, but bands read rows of it on both sides of a seam."""

    def body(emit: Emit, x: Var) -> Expr:
        y = emit(tall(x, 1))
        return emit(op.add(emit(tall(emit(tall(y, 3, 1, 1, (1, 1))), 3, 1, 1, (1, 1))), y))

    steps = rolled_steps(module([input_of(9)], body), 3)
    arena = place(steps, [])
    assert not arena.overwritten
    rings = [
        t for s in steps for t in s.tensors if isinstance(t, Blocked) and isinstance(t.memory, RollingMemory)
    ]
    places = sorted((t.base, t.base + t.blocks * t.geometry.plane) for t in rings if t.base is not None)
    assert len(places) == 6
    assert all(before[1] <= after[0] for before, after in pairwise(places))


def test_halos_of_rings_are_cleared_by_who_reads_them() -> None:
    """Of a ring, by its band; of the result, by anyone; of a plane that all bands read, beforehand."""

    def body(emit: Emit, x: Var) -> Expr:
        for _ in range(3):
            x = emit(conv(x, values(8, 8, 3, 3), 1))
        return x

    steps = rolled_steps(module([(1, 8, 9, 5)], body), 2, stages=2)
    chain = next(step for step in steps if isinstance(step, ChainStep))
    place(steps, [])
    context = LoweringContext(AVX512, 2)
    runs = (("upper",), ("lower",))
    upper, lower = chain.bands
    ring = lower.rings[0].tensors[0]
    result = chain.stages[-1].output

    def cleared(*tensors: Blocked) -> list[list[int]]:
        """By phase, the lengths of its runs."""
        phases = with_clearing(context, chain, (runs,), tensors)  # type: ignore[arg-type]
        return [[len(run) for run in phase] for phase in phases]

    assert upper.rings and ring not in {t for stage in upper.stages for t in stage.tensors}
    assert cleared(ring) == [[1, 2]]
    assert cleared(ring, result) == [[1, 3]]
    assert cleared(ring, chain.stages[0].view.tensors[0]) == [[1], [1, 2]]


# --- programs -------------------------------------------------------------------------------------------


def winograd_block(emit: Emit, x: Var) -> Expr:
    y = emit(op.nn.relu(emit(conv(x, values(64, 16, 1, 1) / 8))))
    z = emit(conv(y, values(64, 64, 3, 3) / 32, 1))
    return emit(op.add(emit(conv(z, values(64, 64, 3, 3) / 32, 1)), y))


PROGRAMS: list[tuple[Body, tuple[int, ...], int, int, str]] = [
    (inverted_bottleneck, (1, 16, 13, 11), 2, 5, "3x3_in_2_bands"),
    (inverted_bottleneck, (2, 16, 13, 11), 2, 5, "3x5_in_2_bands"),
    (strided_bottleneck, (2, 16, 13, 11), 3, 4, "3x2_in_3_bands"),
    (basic_block, (1, 16, 13, 11), 3, 2, "2x1_in_3_bands"),
    (two_strides, (1, 8, 23, 10), 2, 2, "2x1_in_2_bands"),
    (shuffled_halves, (1, 16, 13, 11), 3, 6, "4x2_in_3_bands"),
    (stem, (1, 3, 61, 59), 2, 4, "3x2_in_2_bands"),
]


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize(("body", "shape", "threads", "tiles", "chain"), PROGRAMS)
def test_bands_give_the_same_bits(
    body: Body, shape: tuple[int, ...], threads: int, tiles: int, chain: str
) -> None:
    """As a program whose kernels are shared: sums are those of the whole plane, in the same order."""
    options = {"pairing": False, "winograd": False, "against_tvm": False}
    program = check_chained(module([shape], body), tiles, threads=threads, bands=True, **options)
    assert (chains_in(program), program.threads) == ([chain], threads)


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("threads", [2, 3])
def test_winograds_form_in_bands(threads: int) -> None:
    mod = module([(1, 16, 27, 28)], winograd_block)
    program = check_chained(mod, 6, 1e-6, against_tvm=False, threads=threads, bands=True)
    assert chains_in(program) == [f"3x3_in_{threads}_bands"]


@pytest.mark.usefixtures("threads_pay")
def test_fewer_threads_than_bands() -> None:
    """A thread then makes several runs, one after the other, each whole."""
    mod = module([(1, 16, 13, 11)], inverted_bottleneck)
    main, x = entry_of(program := chained(mod, 3, bands=True, threads=3)), values(1, 16, 13, 11)
    results = []
    for threads in (1, 2, 3):
        use_threads(threads)
        arena = tvm.runtime.tensor(np.zeros(program.arena_bytes, np.uint8))
        y = tvm.runtime.tensor(np.full((1, 16, 13, 11), np.nan, np.float32))
        main(arena, tvm.runtime.tensor(program.constants), tvm.runtime.tensor(x), y, 0, len(program.steps))
        results.append(y.numpy())
    assert np.isfinite(results[0]).all()
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.usefixtures("threads_pay")
def test_a_chain_in_bands_is_one_phase_of_runs() -> None:
    """No run has a kernel that tasks share: nobody is there to share it."""
    options = PipelineOptions(threads=2, tiling=Tiling(tiles=4, bands=True, forced=True))
    lowered = lower_module(module([(1, 16, 13, 11)], inverted_bottleneck), AVX512, options)
    (chain,) = (call for call in lowered.calls if call.record.kind == "chain")
    (runs,) = chain.phases
    assert len(runs) == 2
    assert all(len(run) >= 2 * 3 and tasks_of_run(run) == 1 for run in runs)
    assert len(chain.invocations) == sum(map(len, runs))


@pytest.mark.usefixtures("threads_pay")
def test_bands_count_as_shared_by_all() -> None:
    """A run has several kernels, none of them shared: the phase is as busy as it has runs."""
    options = PipelineOptions(threads=2, tiling=Tiling(tiles=4, bands=True, forced=True))
    lowered = lower_module(module([(1, 16, 112, 112)], inverted_bottleneck), AVX512, options)
    chain = [call for call in lowered.calls if call.record.kind == "chain"]
    assert len(chain) == 1
    assert threads_pay(chain * 20, 2, MACHINE, WAKING_CYCLES)


# --- the choice -----------------------------------------------------------------------------------------


def costs(mod: IRModule, threads: int) -> tuple[Costs, int, int]:
    """Of the program's steps, and from where to where its first chain goes."""
    steps = steps_of(mod, MACHINE)
    chain = next(chains_of(steps))
    first = steps.index(chain[0])
    return Costs(steps, MACHINE, threads), first, first + len(chain)


def deep(kernel: int) -> IRModule:
    """Four convolutions of little work, one after the other."""

    def body(emit: Emit, x: Var) -> Expr:
        for _ in range(4):
            x = emit(tall(x, kernel, 1, 1, (kernel // 2, kernel // 2)))
        return x

    return module([(1, 16, 8, 64)], body)


def test_bands_save_hand_overs_and_cost_the_rows_of_the_halo() -> None:
    """Of pointwise stages they are cheaper than apart and than shared strips; of high windows, dearer."""

    for kernel, pay in ((1, True), (5, False)):
        of, first, last = costs(deep(kernel), 2)
        bands = of.banded(first, last, 8)
        assert not isinstance(bands, str)
        apart = sum(of.alone(number).cycles for number in range(first, last))
        shared = of.of_chain(first, last, [of.tiled(first, last, 4)]).cycles
        assert (of.of_chain(first, last, bands).cycles < min(apart, shared)) == pay


@pytest.mark.usefixtures("threads_pay")
def test_threads_take_bands_where_they_pay() -> None:
    program = planned(deep(kernel=1), AVX512, threads=2, tiling=Tiling())
    assert any(name.endswith("_in_2_bands") for name in chains_in(program))


@pytest.mark.usefixtures("threads_pay")
def test_several_threads_give_no_time_for_memory() -> None:
    """One does, up to a hundredth."""
    mod = module([(1, 16, 48, 24)], narrow_wide_narrow)
    one, two = (planned(mod, AVX512, threads=threads, tiling=Tiling()) for threads in (1, 2))
    assert chains_in(one) and not chains_in(two)
    assert one.arena_bytes < two.arena_bytes
