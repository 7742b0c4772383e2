"""Artifacts that are replaced while they are used: whoever loads gets one of them, whole."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shiftc
from shiftc import exchange
from shiftc.artifact import CONSTANTS, LIBRARY, MANIFEST, read_manifest
from shiftc.artifact_writer import write_artifact
from shiftc.errors import ArtifactCorruptedError, OutputError

X = np.ones((4, 16), np.float32)
BIAS = np.arange(16, dtype=np.float32)


def _factor(path: Path) -> float:
    """By what the artifact's program multiplies."""
    y = shiftc.load(path).run({"x": X})["y"]
    assert np.array_equal(y - BIAS, np.full((4, 16), y[0, 0]))
    return float(y[0, 0])


class Prebuilt:
    """An artifact's files, written again in no time."""

    def __init__(self, program: Any, folder: Path) -> None:
        program.write(folder)
        self._library = folder / LIBRARY
        self._program = program

    def write(self, path: Path) -> None:
        write_artifact(
            path,
            self._program.manifest,
            self._program.constants,
            lambda file, _: shutil.copyfile(self._library, file),
        )


@pytest.fixture(scope="module")
def prebuilt(tiny: Any, rival: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Prebuilt, Prebuilt]:
    folder = tmp_path_factory.mktemp("prebuilt")
    return Prebuilt(tiny, folder / "2"), Prebuilt(rival, folder / "3")


def test_another_model_at_the_path_of_a_living_session(
    prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path
) -> None:
    two, three = prebuilt
    sessions = []
    for number in range(12):
        (three if number % 2 else two).write(tmp_path / "a")
        sessions.append(shiftc.load(tmp_path / "a"))
    results = [session.run({"x": X})["y"][0, 0] for session in sessions]
    assert results == [2.0, 3.0] * 6


def test_descriptors_are_not_kept(artifact: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    sessions = [shiftc.load(artifact) for _ in range(5)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert all(np.array_equal(s.run({"x": X})["y"][0], 2 + BIAS) for s in sessions)


def test_where_files_in_memory_are_not_executed(
    prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "memfd_create", refused)
    prebuilt[0].write(tmp_path / "a")
    first = shiftc.load(tmp_path / "a")
    prebuilt[1].write(tmp_path / "a")
    assert _factor(tmp_path / "a") == 3
    assert first.run({"x": X})["y"][0, 0] == 2


@contextmanager
def _busily(actions: list[Callable[[], None]]) -> Iterator[list[int]]:
    """Every action again and again, in a thread of its own, while the block runs; how often each was done."""
    done, counts, errors = threading.Event(), [0] * len(actions), []

    def repeat(number: int, action: Callable[[], None]) -> None:
        try:
            while not done.is_set():
                action()
                counts[number] += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        done.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def test_loading_while_two_compilations_write(prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path) -> None:
    path = tmp_path / "a"
    prebuilt[0].write(path)
    seen = set()
    with _busily([lambda: prebuilt[0].write(path), lambda: prebuilt[1].write(path)]) as written:
        for _ in range(400):
            assert path.is_dir()
            seen.add(_factor(path))
            read_manifest(path)
    assert min(written) > 0
    assert seen == {2.0, 3.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_file_system_that_exchanges_nothing(
    prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_renameat2", lambda: None)
    path = tmp_path / "a"
    prebuilt[0].write(path)
    seen = set()
    with _busily([lambda: prebuilt[0].write(path) or prebuilt[1].write(path)]):
        for _ in range(100):
            seen.add(_factor(path))
    assert seen == {2.0, 3.0}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_files_swapped_in_the_folder(prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path) -> None:
    """Whoever rewrites single files gets one artifact or an error, at whatever moment."""
    path = tmp_path / "a"
    prebuilt[0].write(path)
    prebuilt[1].write(tmp_path / "b")

    def swap() -> None:
        for name in (LIBRARY, MANIFEST, CONSTANTS):
            exchange._exchange(path / name, tmp_path / "b" / name)

    outcomes = set()
    with _busily([swap]):
        for _ in range(200):
            try:
                outcomes.add(_factor(path))
            except ArtifactCorruptedError:
                outcomes.add(0.0)
    assert outcomes <= {0.0, 2.0, 3.0}


def test_what_is_put_in_the_way_meanwhile_is_kept(tiny: Any, tmp_path: Path) -> None:
    def export(file: str, build_id: str) -> None:
        tiny.export(file, build_id)
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "thesis.tex").write_text("years of work")

    with pytest.raises(OutputError, match="in the way"):
        write_artifact(tmp_path / "a", tiny.manifest, tiny.constants, export)
    assert (tmp_path / "a" / "thesis.tex").read_text() == "years of work"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_a_link_points_to_is_replaced(prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path) -> None:
    prebuilt[0].write(tmp_path / "a")
    (tmp_path / "current").symlink_to("a")
    prebuilt[1].write(tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert _factor(tmp_path / "a") == 3


_KILLED = """
import pathlib, sys, time
from shiftc.unfinished import unfinished_file, unfinished_folder
with unfinished_folder(pathlib.Path(sys.argv[1])) as folder, unfinished_file(folder.parent) as (file, _):
    (folder / "model.so").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_compilation_left_is_removed(
    prebuilt: tuple[Prebuilt, Prebuilt], tmp_path: Path
) -> None:
    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _KILLED, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        return process

    alive, killed = begin(), begin()
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 4
        prebuilt[0].write(tmp_path / "a")
        assert len(list(tmp_path.iterdir())) == 3
        alive.kill()
        alive.wait()
        prebuilt[0].write(tmp_path / "a")
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    finally:
        alive.kill()
        alive.wait()


@pytest.mark.parametrize("name", [MANIFEST, CONSTANTS, LIBRARY])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tiny: Any, tmp_path: Path, name: str) -> None:
    tiny.write(tmp_path / "a")
    (tmp_path / "a" / name).unlink()
    os.mkfifo(tmp_path / "a" / name)
    with pytest.raises(ArtifactCorruptedError, match=name):
        shiftc.load(tmp_path / "a")
