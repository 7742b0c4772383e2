"""Tasks that share a kernel cover its work exactly, evenly, and compute the same bits as one task."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

import schedules
from schedules.emit import UNBOUNDED
from schedules.launch import launched
from schedules.meeting import meetings
from schedules.parallelism import divides_evenly, makespan, share, shifts
from schedules.pipeline import PIPELINE_NAME
from schedules.template import Kernel
from schedules.workload import (
    Depthwise,
    Elementwise,
    EpilogueOp,
    GlobalPool,
    GroupNorm,
    IndexedConv,
    LayerNorm,
    Softmax,
    WindowPool,
    WindowSum,
    WinogradInput,
    WinogradOutput,
    Workload,
)
from shiftc.runtime.threads import use_threads
from tests.schedules import reference
from tests.schedules.harness import executed_targets, indexed_conv_decisions, run

TARGET = executed_targets()[0]
LANES = schedules.machine_of(TARGET).lanes
EPILOGUE = (EpilogueOp("add_vector"), EpilogueOp("add", access="block"), EpilogueOp("relu"))
TAPS = (0, 5, 10, 40, 45, 50, 80, 85, 90)

WORKLOADS: dict[str, Workload] = {
    "convolution of many pixels": IndexedConv(40, 5, LANES, 399, epilogue=EPILOGUE),
    "convolution of few pixels": IndexedConv(64, 37, LANES, 13, epilogue=EPILOGUE),
    "convolution of one pixel": IndexedConv(256, 33, LANES, 1),
    "grouped convolution": IndexedConv(36, 9, LANES, 53, tables=3),
    "depthwise": Depthwise(9, LANES, 2, 9, 11, 40, 5, TAPS, EPILOGUE),
    "window sum": WindowSum(5, LANES, 1, 21, 14, 3, 2, 9, LANES, EPILOGUE),
    "window pool": WindowPool(5, LANES, 1, 21, 14, 3, 3, EPILOGUE),
    "global pool": GlobalPool("avg", 40, LANES, 3, 149),
    "copy of blocks": Elementwise(33, LANES, 211, epilogue=EPILOGUE),
    "copy of lanes": Elementwise(7, LANES, 97, "lane"),
    "planar copy": Elementwise(27, 1, 211),
    "Winograd input": WinogradInput(4, 3, LANES, 17, 20 * LANES, LANES),
    "Winograd output": WinogradOutput(2, 3, LANES, 17, EPILOGUE),
    "layer normalization": LayerNorm(64 * LANES - 3, 64, LANES, 31, 1e-5, epilogue=EPILOGUE),
    "group normalization": GroupNorm(6, LANES, 6, 6, LANES, 2, 211, 1e-5),
    "softmax": Softmax(16 * LANES - 1, 16, LANES, 97),
}


def _arguments(kernel: Kernel) -> dict[str, np.ndarray]:
    """Whatever the kernel takes: any table, any numbers; `y` full of NaN."""
    rng = np.random.default_rng(0)
    extents = {name: extent for name, (_, extent) in kernel.buffers.items()}
    size = 64 * reference.INPUT_SIZE
    arguments = {}
    for name, (dtype, extent) in kernel.buffers.items():
        if dtype == "int32":
            arguments[name] = reference.table(rng, extent)
        else:
            extent = size if extent == UNBOUNDED else extent
            arguments[name] = rng.uniform(0.5, 2.0, extent).astype(np.float32)
    if isinstance(kernel.workload, WindowSum):
        arguments["col"] %= kernel.workload.read_columns
    if "used" in arguments:
        arguments["used"][:] = 1
    if "member" in arguments:
        arguments["member"] = np.arange(extents["member"], dtype=np.int32)
    if "yo" not in arguments:
        return {**arguments, "y": np.full(size, np.nan, np.float32)}
    lanes = kernel.workload.lanes
    return {**arguments, **reference.scattered_output(rng, extents["yo"], extents["yp"], lanes)}


@pytest.mark.parametrize("name", WORKLOADS)
def test_tasks_compute_the_same_bits(name: str) -> None:
    workload = WORKLOADS[name]
    alone = schedules.build(workload, TARGET, threads=1)
    assert alone.tasks == 1
    expected = run(alone, _arguments(alone), TARGET).view(np.int32)
    for tasks in (2, 3, 4):
        kernel = schedules.build(workload, TARGET, tasks, {**alone.decisions, "threads": tasks})
        assert kernel.tasks == tasks
        np.testing.assert_array_equal(run(kernel, _arguments(kernel), TARGET).view(np.int32), expected)


@pytest.mark.parametrize("name", WORKLOADS)
def test_tasks_write_different_elements(name: str) -> None:
    """An element written twice would be wrong where the result is written over an operand."""
    alone = schedules.build(WORKLOADS[name], TARGET, threads=1)
    kernel = schedules.build(WORKLOADS[name], TARGET, 2, {**alone.decisions, "threads": 2})
    first, second = (~np.isnan(run(kernel, _arguments(kernel), TARGET, task)) for task in range(2))
    assert first.any() and second.any()
    assert not (first & second).any()


@pytest.mark.parametrize(("channels", "axis"), [(64, 1), (4096, 0)])
def test_tasks_take_pixels_where_weights_are_few_and_blocks_where_they_are_many(
    channels: int, axis: int
) -> None:
    workload = IndexedConv(channels, 12, LANES, 64)
    decisions = indexed_conv_decisions(4, 2, 4, 3, threads=2)
    kernel = schedules.build(workload, TARGET, 2, decisions)
    arguments = _arguments(kernel)
    places = arguments["yo"][:, None] + arguments["yp"][None, :]
    half = places.shape[axis] // 2
    for task, part in enumerate(np.split(places, [half], axis)):
        written = np.flatnonzero(~np.isnan(run(kernel, arguments, TARGET, task)))
        np.testing.assert_array_equal(written, np.sort((part[..., None] + np.arange(LANES)).ravel()))


def test_little_work_is_left_to_one_task() -> None:
    assert schedules.build(IndexedConv(8, 1, LANES, 20), TARGET, threads=4).tasks == 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 9))
def test_shares_cover_loops_and_are_even(counts: list[int], tasks: int) -> None:
    loads = [0] * tasks
    for count, shift in zip(counts, shifts(counts, tasks), strict=True):
        parts = [share(task, count, tasks, shift) for task in range(tasks)]
        assert [i for part in parts for i in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        loads = [load + len(part) for load, part in zip(loads, parts, strict=True)]
    if tasks == 2:  # of more, those with one more are spread, not free to choose
        assert max(loads) - min(loads) <= 1


def test_the_makespan_is_the_last_tasks() -> None:
    assert makespan([8, 2], [10, 3], 1) == 86
    assert makespan([8, 2], [10, 3], 2) == 43
    assert makespan([3, 1], [10, 3], 2) == 20  # the odd tile to one task, the remainder to the other
    assert makespan([1], [10], 4) == 10


@pytest.mark.parametrize("threads", [1, 2])
def test_tasks_meet_as_often_as_they_are_told(threads: int) -> None:
    """Also where a thread runs all of them."""
    loop = meetings(TARGET, 2)
    use_threads(threads)
    loop.run()
    loop.run()
    assert loop.arrivals() == 2 * 2 * loop.count


@pytest.mark.parametrize("threads", [1, 2])
def test_tasks_run_on_as_many_threads_as_are_used(threads: int) -> None:
    with IRBuilder() as builder, T.prim_func(False, s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main"})
        who = T.match_buffer(T.arg("who", T.handle()), (2,), "int64")
        with launched(), T.parallel(0, 2) as task:
            T.buffer_store(who, tirx.call_extern("int64", "pthread_self"), [task])
    main = tvm.compile(builder.get(), target=TARGET, tir_pipeline=PIPELINE_NAME)["main"]

    def run() -> int:
        use_threads(threads, tasks=2)
        found = tvm.runtime.tensor(np.zeros(2, np.int64))
        main(found)
        return len(set(found.numpy().tolist()))

    with ThreadPoolExecutor(1) as pool:  # a thread that has no workers yet
        assert pool.submit(run).result() == threads


def test_few_iterations_do_not_divide_evenly() -> None:
    assert divides_evenly(8, 2) and divides_evenly(101, 2)
    assert not divides_evenly(9, 2) and not divides_evenly(2, 3)
