"""What of a network can be tuned, with the addresses it is called with; and lowering that follows records."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import relax

import schedules
from schedules.emit import UNBOUNDED
from schedules.tuning.measure import Measurer
from schedules.tuning.process import IsolatedProcess
from schedules.tuning.records import NO_RECORDS, Records
from schedules.tuning.space import Space
from schedules.tuning.task import Task
from schedules.workload import IndexedConv
from tests.machines import EXECUTED, TARGET
from tests.passes.modules import module
from tvm_passes.lowered import Lowered
from tvm_passes.pipeline import PipelineOptions, compile_module, lower_module
from tvm_passes.tasks import tasks_of

SIDE, CHANNELS, OUTPUTS = 6, 32, 16
NETWORK_SHAPE = (1, CHANNELS, SIDE, SIDE)


def _weights(outputs: int, seed: int) -> relax.Constant:
    values = np.random.default_rng(seed).standard_normal((outputs, CHANNELS, 1, 1))
    return relax.const(values.astype("float32"))


def _lowered(records: Records | None = None) -> Lowered:
    """Three convolutions, of which two are the same workload."""

    def body(emit, x):
        for seed, outputs in enumerate((CHANNELS, CHANNELS, OUTPUTS)):
            x = emit(relax.op.nn.relu(emit(relax.op.nn.conv2d(x, _weights(outputs, seed)))))
        return x

    options = PipelineOptions(records=records or NO_RECORDS, pairing=False)
    return lower_module(module([NETWORK_SHAPE], body), TARGET, options)


@pytest.fixture(scope="module")
def lowered() -> Lowered:
    return _lowered()


@pytest.fixture(scope="module")
def tasks(lowered: Lowered) -> list[Task]:
    return tasks_of(lowered)


def _convolutions(tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if isinstance(task.workload, IndexedConv)]


def test_calls_are_counted_by_workload(lowered: Lowered, tasks: list[Task]) -> None:
    assert len({task.workload for task in tasks}) == len(tasks)
    assert sum(task.calls for task in tasks) == sum(len(call.invocations) for call in lowered.calls)
    blocks = {task.workload.blocks * task.workload.lanes: task.calls for task in _convolutions(tasks)}
    # The first reads the input, the second what the first wrote; their tables differ, their workload may.
    assert sum(blocks.values()) == 3
    assert blocks[OUTPUTS] == 1


def test_arguments_are_those_of_the_network(lowered: Lowered, tasks: list[Task]) -> None:
    for task in tasks:
        kernel = schedules.build(task.workload, TARGET)
        assert {*task.constants, *task.memory} == set(kernel.parameters) - {"k"}
        for name, content in task.constants.items():
            dtype, extent = kernel.buffers[name]
            assert (content.dtype, content.size) == (dtype, extent)
        for name, start in task.memory.items():
            assert kernel.buffers[name][1] == UNBOUNDED
            assert 0 <= start < task.memory_bytes
        assert task.constant_bytes == lowered.constants.nbytes


def test_tables_stay_inside_the_memory(tasks: list[Task]) -> None:
    for task in _convolutions(tasks):
        reads = task.constants["ct"][:, None].astype(int) + task.constants["pt"]
        writes = task.constants["yo"][:, None].astype(int) + task.constants["yp"]
        for name, offsets in (("x", reads), ("y", writes)):
            assert offsets.min() >= 0
            assert task.memory[name] + 4 * (offsets.max() + 1) <= task.memory_bytes


@pytest.mark.skipif(not EXECUTED, reason="this machine does not execute the target")
def test_every_task_can_be_measured(tasks: list[Task]) -> None:
    with IsolatedProcess() as process:
        measurer = Measurer(TARGET, process, seconds=60)
        for task in tasks:
            default = Space.of(task.workload, TARGET, 1).default
            assert measurer.compare(task, default, default, turns=3).seconds > 0


def test_operators_without_a_template_are_no_tasks() -> None:
    mod = module([(2, 3)], lambda emit, x: emit(relax.op.argmax(x, axis=1)))
    lowered = lower_module(mod, TARGET, PipelineOptions())
    assert any(record.kind == "generic" for record in lowered.steps)
    assert all(isinstance(task.workload, schedules.workload.Elementwise) for task in tasks_of(lowered))


def _other_decisions(workload: IndexedConv) -> dict[str, int]:
    decisions = dict(schedules.build(workload, TARGET).decisions)
    return {**decisions, "pixel_tile": decisions["pixel_tile"] - 1}


def test_lowering_follows_records(lowered: Lowered, tasks: list[Task]) -> None:
    chosen = next(
        task for task in _convolutions(tasks) if task.workload.blocks * task.workload.lanes == OUTPUTS
    )
    decisions = _other_decisions(chosen.workload)
    followed = _lowered(Records({(chosen.workload, 1): decisions}))
    assert [r.decisions for r in lowered.steps] == ["default"] * len(lowered.steps)
    assert [r.decisions for r in followed.steps].count("record") == 1
    kernels = [i.kernel for call in followed.calls for i in call.invocations if i.kernel is not None]
    assert [k.decisions for k in kernels if k.workload == chosen.workload] == [decisions]


def test_records_for_other_threads_are_not_followed(tasks: list[Task]) -> None:
    (task, *_) = _convolutions(tasks)
    records = Records({(task.workload, 2): _other_decisions(task.workload)})
    assert all(record.decisions == "default" for record in _lowered(records).steps)


@pytest.mark.parametrize("wrong", [{"unroll": 5}, {"colour": 1}, {"pixel_tile": 50}])
def test_a_record_that_does_not_fit_gives_way_to_the_default(
    tasks: list[Task], wrong: dict[str, int]
) -> None:
    (task, *_) = _convolutions(tasks)
    decisions = {**_other_decisions(task.workload), **wrong}
    lowered = _lowered(Records({(task.workload, 1): decisions}))
    assert all(record.decisions == "default" for record in lowered.steps)
    (reason,) = lowered.refused_records
    assert "virtual_channels 32" in reason


def test_compiling_reports_refused_records(tasks: list[Task]) -> None:
    mod = module([NETWORK_SHAPE], lambda emit, x: emit(relax.op.nn.conv2d(x, _weights(OUTPUTS, 0))))
    (task,) = _convolutions(tasks_of(lower_module(mod, TARGET, PipelineOptions())))
    records = Records({(task.workload, 1): {"colour": 1}})
    assert len(compile_module(mod, TARGET, PipelineOptions(records=records)).refused_records) == 1
