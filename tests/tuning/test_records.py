"""Records: written, read, followed where they fit, and otherwise refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

import schedules
from schedules.template import Decisions
from schedules.tuning import database
from schedules.tuning.database import (
    META,
    TRACES,
    Record,
    RecordsError,
    read_database,
    write_records,
)
from schedules.tuning.records import describe, load_records, machine_name, select
from schedules.tuning.space import Space
from schedules.workload import Depthwise, Elementwise
from tests.tuning.tasks import LANES, POINTWISE, TARGET, WORKLOADS

CHOSEN = {"pixel_tile": 5, "block_tile": 1, "unroll": 2, "panel": 1}


def _space() -> Space:
    return Space.of(POINTWISE, TARGET, threads=1)


def _chosen() -> Decisions:
    return {**_space().default, **CHOSEN}


def _record(decisions: Decisions, seconds: float = 1e-5, target: Target = TARGET) -> Record:
    return Record.of(_space(), decisions, seconds, target)


def test_round_trip(tmp_path: Path) -> None:
    records = [
        Record.of(space := Space.of(workload, TARGET, 1), space.default, 1e-6 * (index + 1), TARGET)
        for index, workload in enumerate(WORKLOADS)
    ]
    write_records(tmp_path, records, {"machine": "abacus"})
    contents = read_database(tmp_path)
    assert contents.obsolete == ()
    for read, written in zip(contents.records, records, strict=True):
        assert (read.key, read.decisions) == (written.key, written.decisions)
        assert read.seconds == pytest.approx(written.seconds)
        assert str(read.target) == str(written.target)
    assert json.loads((tmp_path / META).read_text()) == {"machine": "abacus"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([database.WORKLOADS, TRACES, META])


def test_the_database_is_metaschedules_own(tmp_path: Path) -> None:
    write_records(tmp_path, [_record(_chosen(), 2e-5), _record(_space().default, 3e-5)], {})
    stored = ms.database.JSONDatabase(work_dir=str(tmp_path), allow_missing=False)
    best, other = stored.get_all_tuning_records()
    assert best.run_secs[0].value == pytest.approx(2e-5)
    assert best.workload.same_as(other.workload)


def test_files_do_not_depend_on_the_order_of_finding(tmp_path: Path) -> None:
    spaces = [Space.of(workload, TARGET, 1) for workload in WORKLOADS]
    records = [Record.of(space, space.default, 1e-6, TARGET) for space in spaces]
    write_records(tmp_path / "a", records, {})
    write_records(tmp_path / "b", reversed(records), {})
    for name in (database.WORKLOADS, TRACES):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_writing_replaces(tmp_path: Path) -> None:
    write_records(tmp_path, [_record(_space().default)], {})
    write_records(tmp_path, [_record(_chosen())], {})
    (record,) = read_database(tmp_path).records
    assert record.decisions == _chosen()


def test_replay_gives_the_very_kernel(tmp_path: Path) -> None:
    kernel = schedules.build(POINTWISE, TARGET, decisions=_chosen())
    write_records(tmp_path, [_record(_chosen())], {})
    decisions = load_records(tmp_path, TARGET).decisions(POINTWISE, 1)
    replayed = schedules.build(POINTWISE, TARGET, decisions=decisions)
    assert replayed.name == kernel.name
    assert replayed.func.script() == kernel.func.script()


def test_the_fastest_record_counts() -> None:
    records = [_record(_chosen(), 1e-5), _record(_space().default, 2e-5)]
    assert select(records, TARGET).decisions(POINTWISE, 1) == _chosen()


def test_records_are_for_their_workload_and_threads() -> None:
    records = select([_record(_chosen())], TARGET)
    assert len(records) == 1
    assert records.decisions(POINTWISE, 2) is None
    assert records.decisions(attrs.evolve(POINTWISE, pixels=51), 1) is None


def test_cores_do_not_matter_other_machines_do() -> None:
    config = {"kind": "llvm", "mcpu": str(TARGET.attrs["mcpu"])}
    assert len(select([_record(_chosen(), target=Target({**config, "num-cores": 64}))], TARGET)) == 1
    for other in ({**config, "mcpu": "haswell", "num-cores": 1}, {**config, "mattr": ["-fma"]}):
        records = select([_record(_chosen(), target=Target(other))], Target({**config, "mcpu": "znver3"}))
        assert len(records) == 0
        (reason,) = records.skipped
        assert machine_name(Target(other)) in reason


def test_a_template_of_another_version_is_not_followed() -> None:
    record = _record(_chosen())
    older = attrs.evolve(record, key=attrs.evolve(record.key, template="indexed_conv/0"))
    records = select([older], TARGET)
    assert len(records) == 0
    assert "indexed_conv/0" in records.skipped[0] and f"is {record.key.template} now" in records.skipped[0]


def test_a_folder_holds_the_records_of_machines(tmp_path: Path) -> None:
    write_records(tmp_path / machine_name(TARGET), [_record(_chosen())], {})
    assert len(load_records(tmp_path, TARGET)) == 1
    assert len(load_records(tmp_path, Target({"kind": "llvm", "mcpu": "core2"}))) == 0


def test_names_of_machines() -> None:
    assert machine_name(Target({"kind": "llvm", "mcpu": "znver4", "num-cores": 2})) == "llvm-znver4"
    hidden = Target({"kind": "llvm", "mcpu": "znver4", "mattr": ["-avx512bf16"]})
    assert machine_name(hidden) == "llvm-znver4-avx512bf16"


@pytest.mark.parametrize("file", [database.WORKLOADS, TRACES])
def test_damaged_files_are_reported(tmp_path: Path, file: str) -> None:
    write_records(tmp_path, [_record(_chosen())], {})
    content = (tmp_path / file).read_text()
    (tmp_path / file).write_text(content[: len(content) // 2])
    with pytest.raises(RecordsError, match="damaged"):
        load_records(tmp_path, TARGET)


def test_a_missing_file_is_reported_and_not_made_up(tmp_path: Path) -> None:
    write_records(tmp_path, [_record(_chosen())], {})
    (tmp_path / TRACES).unlink()
    with pytest.raises(RecordsError, match="damaged"):
        load_records(tmp_path, TARGET)
    assert not (tmp_path / TRACES).exists()


def test_a_workload_that_no_longer_exists_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_records(tmp_path, [_record(_chosen())], {})
    monkeypatch.delitem(schedules.tuning.workload_json._CLASSES, "IndexedConv")
    records = load_records(tmp_path, TARGET)
    assert len(records) == 0
    assert "IndexedConv" in records.skipped[0]


def test_workloads_in_words() -> None:
    assert describe(POINTWISE).endswith(f"blocks 3, lanes {LANES}, pixels 50, + add_vector + relu")
    words = "blocks 2, lanes 16, rows 6, columns 5, row_step 96, column_step 16, 2 taps"
    assert describe(Depthwise(2, 16, 1, 6, 5, 96, 16, (0, 16))) == words
    assert describe(Elementwise(3, 16, 20)) == "blocks 3, lanes 16, pixels 20, block"
