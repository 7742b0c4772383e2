"""The decisions of templates as search spaces: legal, numerically right, and MetaSchedule's to sample."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

import schedules
from schedules.tuning.space import (
    Space,
    decisions_of,
    key_of,
    marker,
    read_marker,
    scheduled_decisions,
)
from schedules.tuning.timed_kernel import TimedKernel
from schedules.tuning.workload_json import workload_from_json, workload_to_json
from schedules.workload import (
    Depthwise,
    EpilogueOp,
    GlobalPool,
    GroupNorm,
    IndexedConv,
    LayerNorm,
    Softmax,
    Workload,
)
from tests.schedules.harness import AVX2, AVX512
from tests.tuning.tasks import POINTWISE, TARGET, WORKLOADS, task_of

NORMALIZATIONS: tuple[Workload, ...] = (
    LayerNorm(40, 3, 16, 9, 1e-5),
    GroupNorm(2, 16, 1, 2, 16, 1, 9, 1e-5),
    Softmax(40, 3, 16, 9),
)


def _name(workload: Workload) -> str:
    return type(workload).__name__


@pytest.mark.parametrize("target", [AVX512, AVX2], ids=["avx512", "avx2"])
@pytest.mark.parametrize("workload", [*WORKLOADS, *NORMALIZATIONS], ids=_name)
def test_the_default_is_one_of_the_candidates(workload: Workload, target: tvm.target.Target) -> None:
    space = Space.of(workload, target, threads=2)
    assert set(space.candidates) == set(space.default)
    for name, values in space.candidates.items():
        assert values == tuple(sorted(set(values))) and values[0] >= 1
        assert space.default[name] in values


@pytest.mark.parametrize("workload", WORKLOADS, ids=_name)
def test_every_combination_is_scheduled_or_refused(workload: Workload) -> None:
    space = Space.of(workload, TARGET, threads=1)
    combinations = list(itertools.product(*space.candidates.values()))
    followed = 0
    for values in random.Random(0).sample(combinations, min(len(combinations), 60)):
        decisions = dict(zip(space.candidates, values, strict=True))
        try:
            assert schedules.build(workload, TARGET, decisions=decisions).decisions == decisions
            followed += 1
        except schedules.ScheduleError:
            pass
    assert followed >= min(len(combinations), 3)


@pytest.mark.parametrize("workload", WORKLOADS, ids=_name)
def test_candidates_compute_what_the_default_computes(workload: Workload) -> None:
    """The default itself is checked against numpy in tests/schedules."""
    space, task = Space.of(workload, TARGET, threads=1), task_of(workload)
    expected = TimedKernel(task, TARGET, space.default).memory()
    chance, checked = random.Random(1), 0
    while checked < 4:
        decisions = {name: chance.choice(values) for name, values in space.candidates.items()}
        try:
            value = TimedKernel(task, TARGET, decisions).memory()
        except schedules.ScheduleError:
            continue
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
        checked += 1


def test_a_search_space_of_metaschedule() -> None:
    space = Space.of(POINTWISE, TARGET, threads=1)
    generator = ms.space_generator.ScheduleFn(space.sample, sch_rules=[], postprocs=[], mutator_probs={})
    (schedule,) = generator.generate_design_space(marker(space.key))
    decisions = scheduled_decisions(schedule)
    assert all(decisions[name] in values for name, values in space.candidates.items())
    assert decisions_of(schedule.trace, marker(space.key)) == decisions
    assert len([i for i in schedule.trace.insts if i.kind.name == "SampleCategorical"]) == len(decisions)


def test_sampling_reaches_different_decisions() -> None:
    space = Space.of(POINTWISE, TARGET, threads=1)
    seen = set()
    for seed in range(1, 20):
        schedule = Schedule(marker(space.key), seed=seed)
        space.sample(schedule)
        seen.add(tuple(sorted(scheduled_decisions(schedule).items())))
    assert len(seen) > 5


@pytest.mark.parametrize("workload", [*WORKLOADS, *NORMALIZATIONS], ids=_name)
def test_traces_and_markers_say_what_they_were_made_of(workload: Workload) -> None:
    space = Space.of(workload, TARGET, threads=1)
    decisions = {name: values[-1] for name, values in space.candidates.items()}
    assert decisions_of(space.trace(decisions), marker(space.key)) == decisions
    assert read_marker(marker(space.key)) == space.key


def test_keys_tell_threads_and_epilogues_apart() -> None:
    plain = IndexedConv(12, 3, 16, 50)
    keys = {key_of(plain, TARGET, 1), key_of(plain, TARGET, 2), key_of(POINTWISE, TARGET, 1)}
    assert len(keys) == 3


def test_decisions_outside_the_space_have_no_trace() -> None:
    space = Space.of(POINTWISE, TARGET, threads=1)
    with pytest.raises(ValueError, match="not in tuple"):
        space.trace({**space.default, "unroll": 5})


def test_other_modules_are_no_markers() -> None:
    kernel = schedules.build(POINTWISE, TARGET)
    with pytest.raises(ValueError, match="marker"):
        read_marker(tvm.IRModule({"main": kernel.func}))


@pytest.mark.parametrize(
    "workload",
    [
        Depthwise(2, 16, 1, 6, 5, 96, 16, (0, 16, -7), epilogue=(EpilogueOp("clip", (0.0, 6.0)),)),
        IndexedConv(3, 1, 4, 5, epilogue=(EpilogueOp("divide", access="lane", swapped=True),)),
        GlobalPool("max", 1, 8, 2, 4),
    ],
)
def test_workloads_come_back_from_text(workload: Workload) -> None:
    assert workload_from_json(workload_to_json(workload)) == workload


def test_text_of_an_older_version_takes_new_defaults() -> None:
    text = '{"class":"IndexedConv","virtual_channels":3,"blocks":1,"lanes":4,"pixels":5}'
    assert workload_from_json(text) == IndexedConv(3, 1, 4, 5)


@pytest.mark.parametrize("text", ['{"class":"Abacus"}', '{"class":"IndexedConv","beads":3}', "[1]"])
def test_text_that_is_no_workload(text: str) -> None:
    with pytest.raises(ValueError, match=r"workload|IndexedConv"):
        workload_from_json(text)
