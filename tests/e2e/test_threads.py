"""Exported models on two threads, small as they are: steps of every kind, shared or beside each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import shiftc
from schedules.parallelism import LAUNCH_CYCLES
from shiftc.cli.inspect import threads_of
from shiftc.options import PassOptions
from shiftc.runtime import session as session_module
from shiftc.runtime.threads import use_threads
from tests.machines import EXECUTED

from .agreement import TOLERANCE, Agreement, agreement, random_inputs

pytestmark = pytest.mark.skipif(not EXECUTED, reason="this machine does not execute the target")
MODELS = Path(__file__).parents[1] / "models"
CHOSEN = (
    "activations",  # generic operators
    "as_mlp_group_norm",
    "concat_of_five",
    "cyclic_shift",  # halos that are filled
    "depthwise_strided",
    "one_hot_csc",
    "shufflenet_v2",  # halos that are cleared beside kernels
    "squeeze_excite_block",
    "temporal_shift",
)


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("name", CHOSEN)
def test_the_same_bits_as_on_one(name: str, tmp_path: Path) -> None:
    """Without pairing: which products are may differ with the columns that threads share (ADR 11)."""
    exact = PassOptions(pairing=False)
    (tmp_path / "one").mkdir()
    alone = agreement(MODELS / f"{name}.dynamo.onnx", tmp_path / "one", passes=exact)
    together = agreement(MODELS / f"{name}.dynamo.onnx", tmp_path, threads=2, passes=exact)
    assert together.error <= TOLERANCE
    check_sessions_beside_each_other(together, alone)


@pytest.mark.usefixtures("threads_pay")
@pytest.mark.parametrize("name", CHOSEN)
def test_the_same_bits_in_every_run(name: str, tmp_path: Path) -> None:
    together = agreement(MODELS / f"{name}.dynamo.onnx", tmp_path, threads=2)
    assert together.error <= TOLERANCE
    check_sessions_beside_each_other(together, together)


def check_sessions_beside_each_other(together: Agreement, expected: Agreement) -> None:
    """Two sessions on two threads each, at once, give the bits of one that runs alone."""
    assert together.manifest.threads == 2
    reference = shiftc.load(expected.artifact)
    inputs = [random_inputs(reference.signature, seed) for seed in range(2)]
    outputs = [reference.run(each) for each in inputs]

    def repeatedly(seed: int) -> None:
        session = shiftc.load(together.artifact)
        for _ in range(20):
            for output, array in session.run(inputs[seed]).items():
                np.testing.assert_array_equal(array.view(np.int32), outputs[seed][output].view(np.int32))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(repeatedly, range(2)))


def test_a_small_program_wakes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause one thread works for both tasks; where runs follow each other, both do."""
    monkeypatch.setattr("tvm_passes.lower.threads_pay", lambda *given: given[-1] == LAUNCH_CYCLES)
    small = agreement(MODELS / "conv3x3.dynamo.onnx", tmp_path, threads=2)
    assert small.error <= TOLERANCE
    assert (small.manifest.threads, small.manifest.while_awake) == (2, True)
    assert threads_of(small.manifest).startswith("2 (1 after a pause")
    used = []

    def recorded(count: int, *others: object) -> None:
        used.append(count)
        use_threads(count, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(session_module, "use_threads", recorded)

    def runs() -> list[dict[str, np.ndarray]]:
        session = shiftc.load(small.artifact)
        inputs = random_inputs(session.signature, 0)
        outputs = []
        for awake_seconds in (60, 60, -1, 60):
            monkeypatch.setattr(session_module, "AWAKE_SECONDS", awake_seconds)
            outputs.append(session.run(inputs))
        return outputs

    with ThreadPoolExecutor(1) as pool:  # a thread that has no workers yet
        first, *others = pool.submit(runs).result()
    assert used == [1, 2, 1, 2]
    for outputs in others:
        for name, array in first.items():
            np.testing.assert_array_equal(outputs[name], array)


class Clock:
    """Shows that a run took so many seconds on so many threads, whatever it took."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now = seconds, 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.usefixtures("threads_pay")
def test_a_session_leaves_cores_that_are_taken_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = agreement(MODELS / "shufflenet_v2.dynamo.onnx", tmp_path, threads=2)
    clock = Clock({1: 1e-3, 2: 4e-3})

    def timed(count: int, *others: object) -> None:
        clock.now += clock.seconds[count]
        use_threads(count, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(session_module, "use_threads", timed)
    monkeypatch.setattr(session_module, "time", clock)
    session = shiftc.load(made.artifact)
    inputs = random_inputs(session.signature, 0)
    first = session.run(inputs)
    threads = []

    def runs(count: int) -> None:
        for _ in range(count):
            threads.append(session.threads)
            for name, array in session.run(inputs).items():
                np.testing.assert_array_equal(array, first[name])

    runs(40)
    assert session.threads == 1
    clock.seconds[2] = 5e-4
    runs(400)
    assert session.threads == 2
    assert session.runs_on_threads == {1: threads.count(1), 2: threads.count(2) + 1}
