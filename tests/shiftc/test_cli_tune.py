"""`shiftc tune`, and what `compile`, `inspect` and `bench` make of its records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shiftc
from schedules.registry import TEMPLATES
from schedules.tuning.database import Record, read_database, write_records
from schedules.tuning.records import machine_name
from schedules.tuning.space import Space
from schedules.tuning.task import Task, merge
from schedules.tuning.tune import Outcome
from schedules.workload import IndexedConv
from shiftc.cli import main
from shiftc.exit_status import ExitStatus
from shiftc.options import SHIPPED_RECORDS
from shiftc.target import parse_target
from shiftc.tuning_records import find_records
from tests.shiftc.models import CHANNELS, SIZE, save, shift_network

HOST = parse_target("host")
ELSEWHERE = '{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(shift_network(), tmp_path / "model.onnx")


def _found(space: Space) -> dict[str, int]:
    """Decisions that are not the default's."""
    return {**space.default, "pixel_tile": space.default["pixel_tile"] - 1}


def _search(*, interrupted: bool = False, failure: str | None = None) -> Callable[..., list[Outcome]]:
    """A search that finds something for every convolution without measuring."""

    def tune(networks: list[list[Task]], target: Any, _budget: Any, keep: Any, *_: Any) -> list[Outcome]:
        outcomes, tasks = [], merge(task for tasks in networks for task in tasks)
        for number, task in enumerate(tasks, 1):
            space = Space.of(task.workload, target, task.threads)
            best = _found(space) if isinstance(task.workload, IndexedConv) and not failure else None
            outcome = Outcome(
                task.workload,
                task.calls,
                space.default,
                default_seconds=2e-6,
                trials=0 if failure else 3,
                faults=("tile 9: wrong",),
                best=best,
                seconds=1e-6,
                gain=2.0,
                failure=failure,
            )
            keep(space, outcome, number, len(tasks))
            outcomes.append(outcome)
            if interrupted and best is not None:
                raise KeyboardInterrupt
        return outcomes

    return tune


def _tune(monkeypatch: pytest.MonkeyPatch, model: Path, folder: Path, **search: Any) -> int:
    with monkeypatch.context() as patch:
        patch.setattr("shiftc.tuning.tune", _search(**search))
        return main(["tune", str(model), "-o", str(folder)], {})


def test_tuning_for_real(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("schedules.tuning.tune._FEWEST_TRIALS", 1)
    folder = tmp_path / "records"
    assert main(["tune", str(model), str(model), "-o", str(folder), "--trials", "3"], {}) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert any("indexed_conv" in line and "2 calls" in line and "trials" in line for line in lines)
    assert f"of {len(lines)} workloads" in total
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["target"]["mcpu"] == HOST.attrs["mcpu"]
    assert meta["templates"] == {template.kind: template.version for template in TEMPLATES}
    assert meta["versions"]["shiftc"] == shiftc.__version__
    assert meta["records"] == len(read_database(folder).records)


def test_records_are_followed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "records"
    assert _tune(monkeypatch, model, folder) == 0
    out = capsys.readouterr().out
    assert "2.00x with pixel_tile" in out and "failed: tile 9: wrong" in out
    arguments = ["compile", str(model), "-o", str(tmp_path / "tuned"), "--tuning-records", str(folder)]
    assert main(arguments, {}) == 0
    assert "1 by tuning records" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "tuned" / "manifest.json").read_text())
    kinds = {kernel["kind"]: kernel["decisions"] for kernel in manifest["kernels"]}
    assert kinds["indexed_conv"] == "record"
    assert set(kinds.values()) == {"record", "default"}

    assert main(["compile", str(model), "-o", str(tmp_path / "plain"), "--no-tuning-records"], {}) == 0
    x = {"x": np.random.default_rng(0).standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)}
    tuned, plain = (shiftc.load(tmp_path / name).run(x)["y"] for name in ("tuned", "plain"))
    np.testing.assert_allclose(tuned, plain, rtol=1e-5, atol=1e-5)
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "tuned")], {}) == 0
    assert "record" in capsys.readouterr().out


def test_tuning_again_keeps_other_records(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "records"
    workload = IndexedConv(8, 1, 16, 9)
    space = Space.of(workload, HOST, 1)
    write_records(folder, [Record.of(space, _found(space), 1e-6, HOST)], {})
    assert _tune(monkeypatch, model, folder) == 0
    assert _tune(monkeypatch, model, folder) == 0
    records = read_database(folder).records
    assert len(records) == 2
    assert workload in {record.key.workload for record in records}


def test_ctrl_c_keeps_what_was_found(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _tune(monkeypatch, model, tmp_path / "records", interrupted=True) == ExitStatus.INTERRUPTED
    assert "interrupted" in capsys.readouterr().err
    assert len(read_database(tmp_path / "records").records) == 1


def test_records_of_another_machine_are_ignored_and_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = parse_target("llvm -mcpu=core2")
    space = Space.of(IndexedConv(8, 1, 4, 9), other, 1)
    write_records(tmp_path / "llvm-core2", [Record.of(space, space.default, 1e-6, other)], {})
    for folder, words in ((tmp_path / "llvm-core2", "measured on llvm-core2"), (tmp_path, "has records for")):
        flags = ["--tuning-records", str(folder)]
        assert main(["inspect", str(model), "--json", *flags], {}) == 0
        report = json.loads(capsys.readouterr().out)
        assert words in report["skipped_records"][0]
        assert {kernel["decisions"] for kernel in report["kernels"]} == {"default"}
        assert main(["inspect", str(model), *flags], {}) == 0
        assert words in capsys.readouterr().out
        arguments = ["compile", str(model), "-o", str(tmp_path / "out"), *flags]
        assert main(arguments, {}) == 0
        assert words not in capsys.readouterr().out
        assert main([*arguments, "--verbose"], {}) == 0
        assert words in capsys.readouterr().out


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert err.startswith("shiftc: error: ")
    assert err.count("\n") == 1
    return err


def test_a_folder_without_records(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    arguments = ["compile", str(model), "-o", str(tmp_path / "out"), "--tuning-records", str(absent)]
    assert main(arguments, {}) == ExitStatus.RECORDS_UNREADABLE
    assert str(absent) in _one_line(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["tune", "inspect"])
def test_damaged_records(
    verb: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "records"
    assert _tune(monkeypatch, model, folder) == 0
    (folder / "database_tuning_record.json").write_text("[0, [[")
    flag = "-o" if verb == "tune" else "--tuning-records"
    assert main([verb, str(model), flag, str(folder)], {}) == ExitStatus.RECORDS_UNREADABLE
    assert "damaged" in _one_line(capsys)
    assert (folder / "database_tuning_record.json").read_text() == "[0, [["


def test_records_are_not_mixed_between_machines(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = parse_target("llvm -mcpu=core2")
    space = Space.of(IndexedConv(8, 1, 4, 9), other, 1)
    write_records(tmp_path / "records", [Record.of(space, space.default, 1e-6, other)], {})
    assert main(["tune", str(model), "-o", str(tmp_path / "records")], {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert "llvm-core2" in _one_line(capsys)


def test_a_target_that_is_not_here(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["tune", str(model), "-o", str(tmp_path / "records"), "--target", ELSEWHERE]
    assert main(arguments, {}) == ExitStatus.TARGET_ELSEWHERE
    assert "aarch64" in _one_line(capsys)
    assert not (tmp_path / "records").exists()


def test_a_folder_that_cannot_be_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", str(model), "-o", str(model / "records")], {}) == ExitStatus.OUTPUT_UNWRITABLE
    assert str(model) in _one_line(capsys)


def test_nothing_can_be_measured(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = _tune(monkeypatch, model, tmp_path / "records", failure="the process died of SIGILL")
    assert status == ExitStatus.TUNING_FAILED
    assert "SIGILL" in capsys.readouterr().err


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    assert main(["tune", str(tmp_path / "absent.onnx"), "-o", str(tmp_path / "r")], {}) == (
        ExitStatus.MODEL_NOT_FOUND
    )


def test_shipped_records_are_found_and_whole() -> None:
    assert SHIPPED_RECORDS.is_dir()
    for folder in (path for path in SHIPPED_RECORDS.iterdir() if path.is_dir()):
        contents = read_database(folder)
        assert contents.records and not contents.obsolete
        assert {machine_name(record.target) for record in contents.records} == {folder.name}
        find_records(SHIPPED_RECORDS, contents.records[0].target)
        assert json.loads((folder / "meta.json").read_text())["records"] == len(contents.records)
