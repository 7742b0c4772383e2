"""Whatever a manifest says: it is read, or refused in one line, in no time, and takes no memory."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import shiftc
from shiftc.artifact import FILES, MANIFEST, read_manifest
from shiftc.cli import main
from shiftc.errors import ArtifactCorruptedError, ArtifactError
from shiftc.exit_status import ExitStatus
from shiftc.manifest import LIBRARY, FileEntry, KernelEntry, Manifest, Traffic, _identity
from shiftc.runtime import Session

Path_ = tuple[str | int, ...]


@pytest.fixture(scope="module")
def template(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with every field there is."""
    path = tmp_path_factory.mktemp("template") / "a"
    kernels = (*tiny.manifest.kernels, KernelEntry("n", "chain", True, 1, 2, "s", "record", "why", 3))
    tiny.write(path, traffic=Traffic(1, 2, 3, 4, 5, 6), kernels=kernels)
    return path


def _places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The path of every value in the document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    10**9,
    9_000_000_000_000_000,
    2**63,
    10**400,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "7",
    "float128",
    "object",
    "\x1b[31m\x07\u202e\n",
    "../../etc/passwd",
    [],
    [[]],
    [-1],
    ["x", 1, None],
    {},
    {"name": "y"},
)
_MISSING = object()


def _changed(document: Any, place: Path_, value: Any) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is _MISSING:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def _write(path: Path, text: str) -> None:
    (path / MANIFEST).write_text(text, encoding="utf-8", errors="surrogatepass")


def _loads(path: Path) -> Session | None:
    """The session; None where it is refused as it should be. Whatever else is raised is a fault."""
    try:
        return shiftc.load(path)
    except ArtifactError as error:
        message = str(error)
        assert "\n" not in message and len(message) < 500, message
        return None


def test_every_field_changed_in_many_ways(template: Path, tmp_path: Path) -> None:
    """The library has the identity of another manifest, even where types and limits let the change pass."""
    path = shutil.copytree(template, tmp_path / "a")
    document = json.loads((path / MANIFEST).read_text())
    places = [place for place in _places(document) if place[:2] not in (("kernels", 0), ("kernels", 1))]
    assert len(places) > 60
    for place in places:
        for value in (*_VALUES, _MISSING):
            changed = _changed(document, place, value)
            if json.dumps(changed) != json.dumps(document):
                _write(path, json.dumps(changed))
                assert _loads(path) is None, (place, value)
    _write(path, json.dumps(document))
    assert _loads(path) is not None


def _seal(path: Path, document: dict[str, Any]) -> None:
    """Writes a manifest as somebody would who knows how: bound to the library, with the right checksums."""
    library = (path / LIBRARY).read_bytes()
    before = Manifest.from_json((path / MANIFEST).read_bytes())[1]
    library = library.replace(bytes.fromhex(before), bytes.fromhex(_identity(document)))
    (path / LIBRARY).write_bytes(library)
    entry = FileEntry.of(library)
    document["files"][LIBRARY] = {"sha256": entry.sha256, "size": entry.size}
    _write(path, json.dumps(document))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("threads",), 0),
        (("threads",), 10**6),
        (("threads",), 10**9),
        (("threads",), -1),
        (("threads",), "1"),
        (("arena_bytes",), 2**47 + 1),
        (("arena_bytes",), 2**46),
        (("arena_bytes",), -64),
        (("signature", "inputs", 0, "shape"), [4, -16]),
        (("signature", "inputs", 0, "shape"), [2**40, 2**40]),
        (("signature", "outputs", 0, "shape"), [2**30, 2**13]),
        (("signature", "inputs", 0, "shape"), [1] * 65),
        (("signature", "inputs", 0, "dtype"), "object"),
        (("signature", "inputs", 0, "dtype"), "float32, (9,9)f4"),
        (("signature", "inputs", 0, "name"), ""),
        (("chain_gain",), -1.0),
        (("machine",), ""),
        (("model",), "x" * 3_000_000),
        (("kernels", 0, "macs"), -1),
        (("kernels", 0, "moves_only"), 1),
        (("index_maps", 0, "nodes"), "Shift_0"),
        (("index_maps", 0, "folded"), "no"),
        (("target", "mcpu"), {"deep": {}}),
        (("cpu_features",), [7]),
        (("versions", "tvm"), None),
    ],
)
def test_limits_hold_for_manifests_of_their_own_library(
    template: Path, tmp_path: Path, place: Path_, value: Any
) -> None:
    path = shutil.copytree(template, tmp_path / "a")
    document = json.loads((path / MANIFEST).read_text())
    _seal(path, document)
    assert _loads(path) is not None
    _seal(path, _changed(document, place, value))
    assert _loads(path) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"format": 2, "target": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"format": ' + "9" * 100_000 + "}",
        '{"format": [[[[["deep"]]]]]}',
        '{"format": NaN}',
        "\ufeff{}",
        "\ud800",
        "null",
        "\0",
    ],
    ids=lambda text: text[:12],
)
def test_texts_that_are_no_manifest(template: Path, tmp_path: Path, text: str) -> None:
    path = shutil.copytree(template, tmp_path / "a")
    _write(path, text)
    assert _loads(path) is None


def _many_steps(document: dict[str, Any], count: int) -> None:
    document["kernels"] = document["kernels"][:1] * count


def test_more_steps_than_a_program_has(template: Path, tmp_path: Path) -> None:
    path = shutil.copytree(template, tmp_path / "a")
    document = json.loads((path / MANIFEST).read_text())
    _many_steps(document, 30_000)
    _seal(path, document)
    with pytest.raises(ArtifactCorruptedError, match="kernels"):
        read_manifest(path)


def test_a_huge_manifest_is_not_read(template: Path, tmp_path: Path) -> None:
    path = shutil.copytree(template, tmp_path / "a")
    with (path / MANIFEST).open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(ArtifactCorruptedError, match="more than"):
        read_manifest(path)


def test_huge_files_are_not_read(template: Path, tmp_path: Path) -> None:
    for name in FILES[1:]:
        path = shutil.copytree(template, tmp_path / name)
        with (path / name).open("r+b") as file:
            file.truncate(1 << 40)
        with pytest.raises(ArtifactCorruptedError, match="another size"):
            shiftc.load(path)


def test_manifests_are_not_exchanged(template: Path, rival: Any, tmp_path: Path) -> None:
    """Those of programs of the same sizes, in whichever files."""
    mine = shutil.copytree(template, tmp_path / "mine")
    other = attrs.evolve(rival, constants=rival.constants[::-1].copy())
    other.write(tmp_path / "other", model="other.onnx")
    for name in FILES[1:]:
        mixed = shutil.copytree(mine, tmp_path / f"mixed {name}")
        shutil.copy(tmp_path / "other" / MANIFEST, mixed)
        shutil.copy(tmp_path / "other" / name, mixed)
        with pytest.raises(ArtifactCorruptedError):
            shiftc.load(mixed)


@pytest.mark.parametrize(
    "cut", [lambda kernels: [], lambda kernels: kernels[:1], lambda kernels: kernels * 2]
)
def test_steps_are_not_left_out(
    template: Path, tmp_path: Path, cut: Callable[[list[Any]], list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(template, tmp_path / "a")
    document = json.loads((path / MANIFEST).read_text())
    document["kernels"] = cut(document["kernels"])
    _write(path, json.dumps(document))
    for verb in ("run", "inspect"):
        assert main([verb, str(path)], {}) == ExitStatus.ARTIFACT_CORRUPTED
        assert "not linked for this manifest" in capsys.readouterr().err


def test_names_do_not_move_the_cursor(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shutil.copytree(template, tmp_path / "a")
    document = json.loads((path / MANIFEST).read_text())
    evil = "\x1b[2J\x1b]0;owned\x07\u202e\r\nfolded"
    for place in list(_places(document)):
        if place[0] in ("kernels", "index_maps", "model") and place[-1] not in ("bytes", "macs"):
            inner = document
            for key in place[:-1]:
                inner = inner[key]
            if isinstance(inner[place[-1]], str):
                inner[place[-1]] = evil
    document["signature"]["outputs"][0]["name"] = evil
    _seal(path, document)
    for arguments in (["inspect", str(path)], ["run", str(path)], ["inspect", str(path), "--json"]):
        assert main(arguments, {}) == 0
        out = capsys.readouterr().out
        assert all(c.isprintable() or c == "\n" for c in out)
        assert "\\u001b[2J" in out or "\\x1b[2J" in out
