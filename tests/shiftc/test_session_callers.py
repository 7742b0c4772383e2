"""What callers can get wrong, and what they may do: arrays of theirs, closing, forks, threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shiftc
from shiftc.errors import (
    ArtifactTooLargeError,
    InputDtypeError,
    InputError,
    InputNameError,
    InputShapeError,
    OutputArrayError,
    SessionClosedError,
)
from shiftc.manifest import Signature, TensorSpec
from shiftc.runtime import aligned_empty, limits


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (None, InputNameError, "NoneType"),
        ([np.zeros((4, 16), "f4")], InputNameError, "list"),
        ({"x": np.zeros((4, 16), ">f4")}, InputDtypeError, ">f4"),
        ({"x": np.zeros((4, 16), "i4")}, InputDtypeError, "int32"),
        ({"x": [[1.0] * 16] * 4}, InputDtypeError, "float64"),
        ({"x": [[1.0], [1.0, 2.0]]}, InputDtypeError, "no array"),
        ({"x": "beads"}, InputDtypeError, "<U5"),
        ({"x": None}, InputDtypeError, "object"),
        ({"x": np.zeros((4, 16), "f4,f4")}, InputDtypeError, "f0"),
        ({"x": np.float32(1)}, InputShapeError, r"\[\]"),
        ({"x": np.zeros((1, 4, 16), "f4")}, InputShapeError, r"\[1, 4, 16\]"),
        ({"x": np.zeros((0, 16), "f4")}, InputShapeError, r"\[0, 16\]"),
        ({"x": np.zeros((4, 16), "f4"), 7: 1}, InputNameError, "'7'"),
        ({"X": np.zeros((4, 16), "f4")}, InputNameError, "'x' is missing"),
    ],
)
def test_wrong_inputs(artifact: Path, inputs: Any, error: type[InputError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        shiftc.load(artifact).run(inputs)
    assert "\n" not in str(caught.value)


def _memory(rows: int = 4) -> np.ndarray:
    return np.full((rows, 16), -1, np.float32)


@pytest.mark.parametrize(
    ("outputs", "error", "words"),
    [
        ([_memory()], InputNameError, "list"),
        ({"z": _memory()}, InputNameError, "no output 'z'"),
        ({"y": _memory(3)}, InputShapeError, r"\[3, 16\]"),
        ({"y": _memory(5)}, InputShapeError, r"\[5, 16\]"),
        ({"y": _memory().astype(">f4")}, InputDtypeError, ">f4"),
        ({"y": _memory().astype("f8")}, InputDtypeError, "float64"),
        ({"y": _memory().tolist()}, OutputArrayError, "list"),
        ({"y": np.broadcast_to(_memory(1), (4, 16))}, OutputArrayError, "read-only"),
        ({"y": np.lib.stride_tricks.as_strided(_memory(1), (4, 16), (0, 4))}, OutputArrayError, "share"),
    ],
)
def test_wrong_outputs(
    artifact: Path, x: np.ndarray, outputs: Any, error: type[InputError], words: str
) -> None:
    with pytest.raises(error, match=words):
        shiftc.load(artifact).run({"x": x}, outputs)
    if isinstance(outputs, dict) and isinstance(next(iter(outputs.values())), np.ndarray):
        assert np.all(next(iter(outputs.values())) == -1)


@pytest.mark.parametrize(
    "memory",
    [
        _memory,
        lambda: np.full((16, 4), -1, np.float32).T,
        lambda: np.full((4, 33), -1, np.float32)[:, 1::2],
        lambda: np.full((4, 16), -1, np.float32)[::-1],
        lambda: np.zeros(257, np.uint8)[1:].view(np.float32).reshape(4, 16),
    ],
    ids=["contiguous", "column-major", "strided", "backwards", "misaligned"],
)
def test_outputs_in_arrays_of_the_caller(
    artifact: Path, x: np.ndarray, expected: np.ndarray, memory: Callable[[], np.ndarray]
) -> None:
    y = memory()
    assert shiftc.load(artifact).run({"x": x}, {"y": y})["y"] is y
    np.testing.assert_array_equal(y, expected)


def test_outputs_over_inputs(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    """The input is read before its memory is written, whether all of it is shared or a part."""
    memory = aligned_empty((5, 16), np.float32)
    for start in (0, 1):
        memory[:4] = x
        shiftc.load(artifact).run({"x": memory[:4]}, {"y": memory[start : start + 4]})
        np.testing.assert_array_equal(memory[start : start + 4], expected)


def _two_outputs(tiny: Any) -> dict[str, Any]:
    """A signature that the tiny library does not have: for what is checked before it is called."""
    y, z = TensorSpec("y", (4, 16), "float32"), TensorSpec("z", (4, 16), "float32")
    return {"signature": Signature(tiny.manifest.signature.inputs, (y, z))}


def test_outputs_that_share_memory(tiny: Any, tmp_path: Path, x: np.ndarray) -> None:
    tiny.write(tmp_path / "two", **_two_outputs(tiny))
    memory = _memory(5)
    with pytest.raises(OutputArrayError, match="'y' and 'z'"):
        shiftc.load(tmp_path / "two").run({"x": x}, {"y": memory[:4], "z": memory[1:]})


def test_a_failed_run_leaves_the_session_usable(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    session = shiftc.load(artifact)
    y = _memory()
    with pytest.raises(InputShapeError):
        session.run({"x": x[:3]}, {"y": y})
    assert np.all(y == -1)
    np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


def test_closed(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    with shiftc.load(artifact) as session:
        y = session.run({"x": x})["y"]
    session.close()
    for use in (lambda: session.run({"x": x}), lambda: session.profile({"x": x}, repeat=1)):
        with pytest.raises(SessionClosedError, match="closed"):
            use()
    assert session.signature.inputs[0].name == "x"
    np.testing.assert_array_equal(y, expected)


def test_closed_by_another_thread(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    """Whoever is running ends first; whoever comes later is refused."""
    session = shiftc.load(artifact)
    outcomes: list[bool | None] = []

    def repeatedly() -> None:
        while True:
            try:
                outcomes.append(np.array_equal(session.run({"x": x})["y"], expected))
            except SessionClosedError:
                outcomes.append(None)
                return

    threads = [threading.Thread(target=repeatedly) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(outcomes) < 20:
        pass
    session.close()
    for thread in threads:
        thread.join()
    assert outcomes.count(None) == 3
    assert False not in outcomes


def _in_child(check: Callable[[], bool]) -> bool:
    """Whether `check` holds in a forked process that ends by itself."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_forked(tiny: Any, tmp_path: Path, x: np.ndarray, expected: np.ndarray, threads: int) -> None:
    """Parent and child use the session of before, and load others, though the child has no workers of it."""
    tiny.write(tmp_path / "a", threads=threads, threads_asked=threads)
    session = shiftc.load(tmp_path / "a")

    def right() -> bool:
        sessions = (session, shiftc.load(tmp_path / "a"))
        return all(np.array_equal(s.run({"x": x})["y"], expected) for s in sessions for _ in range(3))

    assert right()
    assert _in_child(lambda: right() and _in_child(right))
    assert right()


def test_forked_while_another_thread_runs(artifact: Path, x: np.ndarray, expected: np.ndarray) -> None:
    session = shiftc.load(artifact)
    session._lock.acquire()  # as a thread has it that the child does not have
    try:
        assert _in_child(lambda: np.array_equal(session.run({"x": x})["y"], expected))
    finally:
        session._lock.release()


def test_more_memory_than_there_is(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before it is taken."""
    tiny.write(tmp_path / "a", arena_bytes=2**46)
    with pytest.raises(ArtifactTooLargeError, match="needs 70,368,7"):
        shiftc.load(tmp_path / "a")
    tiny.write(tmp_path / "a", arena_bytes=65 << 20)
    monkeypatch.setattr(limits, "available_bytes", lambda: 64 << 20)
    with pytest.raises(ArtifactTooLargeError, match="can have 67,108,864"):
        shiftc.load(tmp_path / "a")


def test_more_threads_than_can_be_started(
    tiny: Any, tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.write(tmp_path / "a", threads=3, threads_asked=3)

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def run() -> str:
        with pytest.raises(ArtifactTooLargeError) as caught, monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            shiftc.load(tmp_path / "a").run({"x": x})
        return str(caught.value)

    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()  # a thread of its own: it has no pool yet
    thread.join()
    assert "more threads" in results[0]
