"""Artifacts: what is written is what is read, damage is noticed, failures leave nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import shiftc
from shiftc.artifact import MANIFEST, read_manifest
from shiftc.artifact_writer import write_artifact
from shiftc.errors import (
    ArtifactCorruptedError,
    ArtifactNotFoundError,
    ArtifactTargetError,
    ArtifactVersionError,
    LinkError,
    OutputError,
)
from shiftc.linker import linker_for
from shiftc.manifest import CONSTANTS, LIBRARY, FileEntry, Manifest, Versions

FILES = {name: FileEntry.of(b"") for name in (CONSTANTS, LIBRARY)}


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_manifest_round_trip(tiny: Any) -> None:
    written = attrs.evolve(tiny.manifest, files=FILES)
    read, identity = Manifest.from_json(written.to_json())
    assert read == written
    assert identity == tiny.manifest.identity == written.identity


def test_written_manifest_is_read(tiny: Any, tmp_path: Path) -> None:
    written = tiny.write(tmp_path / "a")
    assert read_manifest(tmp_path / "a") == written
    assert set(written.files) == {"constants.bin", "model.so"}


def test_same_bytes_every_time(tiny: Any, tmp_path: Path) -> None:
    tiny.write(tmp_path / "a")
    tiny.write(tmp_path / "b")
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")


def test_replaces_an_older_artifact(tiny: Any, tmp_path: Path) -> None:
    tiny.write(tmp_path / "a", model="older.onnx")
    tiny.write(tmp_path / "a")
    assert read_manifest(tmp_path / "a").model == "tiny.onnx"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _fails(*_: str) -> None:
    raise RuntimeError("no library today")


def test_failure_leaves_nothing(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no library today"):
        write_artifact(tmp_path / "a", tiny.manifest, tiny.constants, _fails)
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_the_older_artifact(tiny: Any, tmp_path: Path) -> None:
    tiny.write(tmp_path / "a")
    before = _contents(tmp_path)
    with pytest.raises(RuntimeError):
        write_artifact(tmp_path / "a", tiny.manifest, tiny.constants, _fails)
    assert _contents(tmp_path) == before


def _foreign_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def _extended(path: Path) -> None:
    """Something that has a manifest of its own."""
    _foreign_folder(path)
    (path / MANIFEST).write_text("{}")


@pytest.mark.parametrize("obstacle", [_foreign_folder, _extended, lambda path: path.write_text("a file")])
def test_nothing_else_is_overwritten(tiny: Any, tmp_path: Path, obstacle: Callable[[Path], object]) -> None:
    obstacle(tmp_path / "a")
    before = _contents(tmp_path)
    with pytest.raises(OutputError, match="in the way"):
        tiny.write(tmp_path / "a")
    assert _contents(tmp_path) == before


def test_missing_parent_folder(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        tiny.write(tmp_path / "absent" / "a")


@pytest.mark.parametrize("name", ["model.so", "constants.bin"])
@pytest.mark.parametrize("place", [0, -1])
def test_a_changed_byte_is_noticed(tiny: Any, tmp_path: Path, name: str, place: int) -> None:
    tiny.write(tmp_path / "a")
    content = bytearray((tmp_path / "a" / name).read_bytes())
    content[place] ^= 1
    (tmp_path / "a" / name).write_bytes(content)
    with pytest.raises(ArtifactCorruptedError, match=name):
        shiftc.load(tmp_path / "a")


@pytest.mark.parametrize("name", ["model.so", "constants.bin"])
def test_a_missing_file_is_noticed(tiny: Any, tmp_path: Path, name: str) -> None:
    tiny.write(tmp_path / "a")
    (tmp_path / "a" / name).unlink()
    with pytest.raises(ArtifactCorruptedError, match=name):
        shiftc.load(tmp_path / "a")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2, "signature": 3}', "[" * 100_000])
def test_a_damaged_manifest_is_noticed(tiny: Any, tmp_path: Path, text: str) -> None:
    tiny.write(tmp_path / "a")
    (tmp_path / "a" / MANIFEST).write_text(text)
    with pytest.raises(ArtifactCorruptedError, match=MANIFEST):
        shiftc.load(tmp_path / "a")


def test_no_artifact(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ArtifactNotFoundError, match="not an artifact"):
            shiftc.load(path)


def test_a_library_that_is_none(tiny: Any, tmp_path: Path) -> None:
    def link_nothing(file: str, build_id: str) -> None:
        linker_for(tiny.manifest.machine)(file, [], build_id=build_id)

    write_artifact(tmp_path / "a", tiny.manifest, tiny.constants, link_nothing)
    with pytest.raises(ArtifactCorruptedError, match=LIBRARY):
        shiftc.load(tmp_path / "a")


@pytest.mark.parametrize("export", [lambda *_: None, lambda file, _: Path(file).write_text("no library")])
def test_a_linker_that_does_not_do_what_it_should(
    tiny: Any, tmp_path: Path, export: Callable[[str, str], object]
) -> None:
    with pytest.raises(LinkError, match="linker"):
        write_artifact(tmp_path / "a", tiny.manifest, tiny.constants, export)
    assert list(tmp_path.iterdir()) == []


def _versions(**changes: str) -> Versions:
    return attrs.evolve(Versions.installed(), **changes)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"versions": _versions(tvm="0.1")}, ArtifactVersionError, "apache-tvm 0.1"),
        ({"versions": _versions(tvm_ffi="0.1")}, ArtifactVersionError, "apache-tvm-ffi 0.1"),
        ({"machine": "riscv64"}, ArtifactTargetError, "riscv64"),
        ({"cpu_features": ("a-feature-of-tomorrow",)}, ArtifactTargetError, "a-feature-of-tomorrow"),
    ],
)
def test_an_artifact_for_elsewhere(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    tiny.write(tmp_path / "a", **changes)
    with pytest.raises(error, match=words):
        shiftc.load(tmp_path / "a")


def test_a_manifest_of_a_later_format(tiny: Any, tmp_path: Path) -> None:
    tiny.write(tmp_path / "a")
    manifest = json.loads((tmp_path / "a" / MANIFEST).read_text())
    manifest |= {"format": 3, "invented_later": True}
    (tmp_path / "a" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactVersionError, match="format 3"):
        shiftc.load(tmp_path / "a")
