"""Kernels kept between compilations: found again, never wrong, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shiftc.cli import main
from shiftc.driver import CompileReport, compile_model
from shiftc.kernel_cache import KernelCache
from shiftc.options import CompileOptions, ModelOptions, PassOptions
from shiftc.unfinished import unfinished_file
from tests.shiftc.models import save, shift_network

KEYS = [f"{number:064x}" for number in range(8)]
CODE = b"\x7fELF" + bytes(range(96))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(shift_network(), tmp_path_factory.mktemp("models") / "model.onnx")


def _compile(model: Path, output: Path, passes: PassOptions) -> CompileReport:
    return compile_model(CompileOptions(ModelOptions(model), output, passes))


def _artifact(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def _age(folder: Path, keys: list[str]) -> None:
    """Let the entries' times be apart, the first key's the oldest."""
    for second, key in enumerate(keys):
        os.utime(folder / f"{key}.o", (1e9 + second, 1e9 + second))


def test_what_was_put_is_found(tmp_path: Path) -> None:
    KernelCache(tmp_path / "new" / "folder").put(KEYS[0], CODE)
    cache = KernelCache(tmp_path / "new" / "folder")
    assert cache.get(KEYS[0]) == CODE
    assert cache.get(KEYS[1]) is None
    assert cache.failure is None


@pytest.mark.parametrize("damaged", [b"", b"short", b"\0" * 200], ids=["empty", "cut off", "overwritten"])
def test_a_damaged_entry_is_missing_until_it_is_written_again(tmp_path: Path, damaged: bytes) -> None:
    cache = KernelCache(tmp_path)
    cache.put(KEYS[0], CODE)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(damaged)
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[0], CODE)
    assert cache.get(KEYS[0]) == CODE


def test_the_least_recently_read_are_removed(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path)
    for key in KEYS[:4]:
        cache.put(key, CODE)
    _age(tmp_path, KEYS[:4])
    assert cache.get(KEYS[0]) == CODE
    (tmp_path / "notes.o").write_bytes(bytes(10_000))
    cache.size_limit = 2 * (len(CODE) + 32)
    cache.prune()
    assert [key for key in KEYS if cache.get(key)] == [KEYS[0], KEYS[3]]
    assert (tmp_path / "notes.o").exists()


def test_what_an_ended_compilation_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".shiftc-unfinished-{0:016x}").write_bytes(bytes(100))
    with unfinished_file(tmp_path) as (path, _):
        KernelCache(tmp_path).prune()
        assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = KernelCache(tmp_path / "file")
    cache.put(KEYS[0], CODE)
    cache.put(KEYS[1], CODE)
    cache.prune()
    assert cache.get(KEYS[0]) is None
    assert cache.failure is not None and "file" in cache.failure and "\n" not in cache.failure


def test_many_at_once(tmp_path: Path) -> None:
    """Writers, readers and pruners share a folder: who reads gets all of an entry or nothing."""

    def work(number: int) -> set[bytes | None]:
        cache = KernelCache(tmp_path, size_limit=4 * len(CODE))
        seen = set()
        for key in KEYS * 5:
            cache.put(key, CODE)
            seen.add(cache.get(key))
            if number % 2:
                cache.prune()
        assert cache.failure is None
        return seen

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(work, range(4))) <= {CODE, None}


def test_cold_warm_and_without_write_the_same_artifact(model: Path, tmp_path: Path) -> None:
    passes = PassOptions(cache_dir=tmp_path / "kernels")
    cold = _compile(model, tmp_path / "cold", passes)
    warm = _compile(model, tmp_path / "warm", passes)
    without = _compile(model, tmp_path / "without", PassOptions(cache=False))
    assert cold.reused == without.reused == 0
    assert warm.reused == warm.functions == len(list((tmp_path / "kernels").iterdir()))
    assert _artifact(tmp_path / "cold") == _artifact(tmp_path / "warm") == _artifact(tmp_path / "without")


def test_damaged_kernels_are_compiled_again(model: Path, tmp_path: Path) -> None:
    passes = PassOptions(cache_dir=tmp_path / "kernels")
    _compile(model, tmp_path / "cold", passes)
    for number, entry in enumerate(sorted((tmp_path / "kernels").iterdir())):
        entry.write_bytes(entry.read_bytes()[:-1] if number % 2 else b"")
    again = _compile(model, tmp_path / "again", passes)
    assert again.reused == 0
    assert _artifact(tmp_path / "cold") == _artifact(tmp_path / "again")
    assert _compile(model, tmp_path / "third", passes).reused == again.functions


def test_two_compilations_at_once(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shiftc", "compile", model, "--cache-dir", tmp_path / "kernels", "-o"]
    running = [subprocess.Popen([*command, tmp_path / name]) for name in ("a", "b")]
    assert [process.wait() for process in running] == [0, 0]
    assert _artifact(tmp_path / "a") == _artifact(tmp_path / "b")
    assert _compile(model, tmp_path / "c", PassOptions(cache_dir=tmp_path / "kernels")).reused > 0


def test_flags(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def compile_with(*flags: str) -> str:
        out = str(tmp_path / "out")
        assert main(["compile", str(model), "-o", out, "--print-pass-times", *flags], {}) == 0
        return next(line for line in capsys.readouterr().out.splitlines() if "object code" in line)

    folder = str(tmp_path / "kernels")
    assert " 0 of " in compile_with("--cache-dir", folder)
    assert " 0 of " in compile_with("--no-cache", "--cache-dir", folder)
    assert " 0 of " not in compile_with("--cache-dir", folder)


def test_a_cache_that_cannot_be_written_is_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compile", str(model), "-o", str(tmp_path / "out"), "--cache-dir", f"{model}/kernels"]
    assert main(arguments, {}) == 0
    assert "shiftc: warning: kernels are not kept: " in capsys.readouterr().err
