"""`shiftc.load` and `Session`: right answers, clear refusals, independence."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm_ffi

import shiftc
from shiftc.errors import AffinityError, InputDtypeError, InputNameError, InputShapeError
from shiftc.manifest import TensorSpec
from shiftc.runtime import aligned_empty

BIAS = np.arange(16, dtype=np.float32)


def test_runs(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    outputs = shiftc.load(artifact).run({"x": x})
    assert list(outputs) == ["y"]
    np.testing.assert_array_equal(outputs["y"], expected)


def test_signature(artifact: Path) -> None:
    signature = shiftc.load(str(artifact)).signature
    assert signature.inputs == (TensorSpec("x", (4, 16), "float32"),)
    assert signature.outputs == (TensorSpec("y", (4, 16), "float32"),)


def _aligned(x: np.ndarray) -> np.ndarray:
    copy = aligned_empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def _misaligned(x: np.ndarray) -> np.ndarray:
    buffer = np.empty(x.nbytes + 4, np.uint8)[4:]
    copy = buffer.view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def _read_only(x: np.ndarray) -> np.ndarray:
    copy = _aligned(x)
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize(
    "arrange",
    [_aligned, _misaligned, _read_only, np.asfortranarray, lambda x: np.repeat(x, 2, axis=1)[:, ::2]],
    ids=["aligned", "misaligned", "read-only", "column-major", "strided"],
)
def test_any_memory_layout(
    artifact: Path, x: np.ndarray, expected: np.ndarray, arrange: Callable[[np.ndarray], np.ndarray]
) -> None:
    np.testing.assert_array_equal(shiftc.load(artifact).run({"x": arrange(x)})["y"], expected)


def test_results_are_the_callers(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    session = shiftc.load(artifact)
    first = session.run({"x": x})["y"]
    session.run({"x": np.zeros_like(x)})
    np.testing.assert_array_equal(first, expected)


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ({}, InputNameError, ["'x' is missing"]),
        ({"x": np.zeros((4, 16), "f4"), "z": 1}, InputNameError, ["no input 'z'", "'x'"]),
        ({"x": np.zeros((4, 15), "f4")}, InputShapeError, ["'x'", "[4, 15]", "[4, 16]"]),
        ({"x": np.zeros((4, 16), "f8")}, InputDtypeError, ["'x'", "float64", "float32"]),
    ],
)
def test_wrong_inputs(
    artifact: Path, inputs: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        shiftc.load(artifact).run(inputs)
    assert all(word in str(caught.value) for word in words)


def test_two_sessions_in_two_threads(artifact: Path) -> None:
    def repeatedly(seed: int) -> bool:
        session = shiftc.load(artifact)
        for value in np.random.default_rng(seed).standard_normal((200, 4, 16)).astype(np.float32):
            if not np.array_equal(session.run({"x": value})["y"], 2 * value + BIAS):
                return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(repeatedly, range(2)))


def test_one_session_shared_by_threads(artifact: Path) -> None:
    session = shiftc.load(artifact)

    def repeatedly(value: float) -> bool:
        x = np.full((4, 16), value, np.float32)
        expected = 2 * x + BIAS
        return all(np.array_equal(session.run({"x": x})["y"], expected) for _ in range(200))

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(repeatedly, (1.0, 2.0)))


@pytest.mark.parametrize("threads", [2, 1, 3])
def test_thread_counts(tiny: Any, tmp_path: Path, x: np.ndarray, expected: np.ndarray, threads: int) -> None:
    tiny.write(tmp_path / "tiny", threads=threads)
    session = shiftc.load(tmp_path / "tiny")
    np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


def _run_bound(artifact: Path, x: np.ndarray, affinity: tuple[int, ...]) -> tuple[np.ndarray, set[int]]:
    """The output, and the cores of the calling thread afterwards: one of its own, for it stays bound."""
    with ThreadPoolExecutor(1) as pool:
        y = pool.submit(lambda: shiftc.load(artifact, affinity).run({"x": x})["y"]).result()
        return y, pool.submit(os.sched_getaffinity, 0).result()


@pytest.mark.parametrize("threads", [1, 2])
def test_affinity_binds_the_calling_thread(
    tiny: Any, tmp_path: Path, x: np.ndarray, expected: np.ndarray, threads: int
) -> None:
    cores = tuple(sorted(os.sched_getaffinity(0))[::-1][:threads])
    if len(cores) < threads:
        pytest.skip("too few cores")
    tiny.write(tmp_path / "tiny", threads=threads)
    y, bound = _run_bound(tmp_path / "tiny", x, cores)
    np.testing.assert_array_equal(y, expected)
    assert bound == {cores[0]}


@pytest.mark.parametrize("bound", [True, False])
def test_several_threads_after_a_bound_one(
    tiny: Any, tmp_path: Path, x: np.ndarray, expected: np.ndarray, bound: bool
) -> None:
    """The pool is made for the first program that has several threads, whatever ran before."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    if len(cores) < 2:
        pytest.skip("one core")
    for threads in (1, 2):
        tiny.write(tmp_path / f"{threads}", threads=threads)

    def one_after_the_other() -> tuple[np.ndarray, int, set[int]]:
        shiftc.load(tmp_path / "1", cores[:1]).run({"x": x})
        y = shiftc.load(tmp_path / "2", cores[:2] if bound else ()).run({"x": x})["y"]
        return y, tvm_ffi.get_global_func("runtime.NumThreads")(), os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as pool:
        y, threads, afterwards = pool.submit(one_after_the_other).result()
    np.testing.assert_array_equal(y, expected)
    assert threads == 2
    assert afterwards == (set(cores[:1]) if bound else set(cores))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_moved_by_its_owner_stays(tiny: Any, tmp_path: Path, x: np.ndarray, threads: int) -> None:
    """A bound program ran while the thread was on one core; since then its owner has freed it."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core")
    tiny.write(tmp_path / "1", threads=1)
    tiny.write(tmp_path / "free", threads=threads)
    last = max(cores)

    def one_after_the_other() -> set[int]:
        os.sched_setaffinity(0, {last})
        shiftc.load(tmp_path / "1", (last,)).run({"x": x})
        os.sched_setaffinity(0, cores)
        shiftc.load(tmp_path / "free").run({"x": x})
        return os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(one_after_the_other).result() == cores


@pytest.mark.parametrize(
    ("affinity", "words"), [((0, 1), "1 threads"), ((0, 0), "1 threads"), ((10_000,), "no core 10000")]
)
def test_wrong_affinity(artifact: Path, affinity: tuple[int, ...], words: str) -> None:
    with pytest.raises(AffinityError, match=words):
        shiftc.load(artifact, affinity)


def test_profile_names_every_step(artifact: Path, x: np.ndarray) -> None:
    steps = shiftc.load(artifact).profile({"x": x}, repeat=3)
    assert [step.kernel.name for step in steps] == ["double", "bias"]
    assert all(step.seconds >= 0 for step in steps)
