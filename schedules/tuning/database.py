"""Tuning records on disk: MetaSchedule's JSON database and a `meta.json` beside it.

database_workload.json         one marker a line (see space.py)
database_tuning_record.json    one trace a line, with its measured seconds and target
meta.json                      where and with what they were measured, for people
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import tvm
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace

from schedules.template import Decisions
from schedules.tuning.space import Key, Space, decisions_of, marker, read_marker
from schedules.tuning.workload_json import workload_to_json

WORKLOADS, TRACES, META = "database_workload.json", "database_tuning_record.json", "meta.json"


class RecordsError(Exception):
    """A database that cannot be read; the message names the folder."""


@attrs.frozen(eq=False)
class Record:
    """The best decisions found for a key, as a trace; median seconds of a call, and on what target."""

    key: Key
    trace: Trace
    seconds: float
    target: tvm.target.Target

    @classmethod
    def of(cls, space: Space, decisions: Decisions, seconds: float, target: tvm.target.Target) -> Record:
        """The record of decisions in a space."""
        return cls(space.key, space.trace(decisions), seconds, target)

    @property
    def decisions(self) -> dict[str, int]:
        """What replaying the trace decides."""
        return decisions_of(self.trace, marker(self.key))


def is_database(folder: Path) -> bool:
    """Whether records lie in this very folder."""
    return (folder / WORKLOADS).is_file()


@attrs.frozen
class Contents:
    """Records in the order of their seconds, and what is wrong with those that no longer mean anything."""

    records: tuple[Record, ...] = ()
    obsolete: tuple[str, ...] = ()


def read_database(folder: Path) -> Contents:
    """What a database holds. Raises RecordsError."""
    if not is_database(folder):
        raise RecordsError(f"there are no tuning records in '{folder}'")
    try:
        database = ms.database.JSONDatabase(
            str(folder / WORKLOADS), str(folder / TRACES), allow_missing=False
        )
        stored = database.get_all_tuning_records()
    except Exception as error:  # TVM raises its parser's, our own or the system's, whatever is wrong
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RecordsError(f"the tuning records in '{folder}' are damaged: {reason[:200]}") from error
    records, obsolete = [], []
    for entry in stored:
        try:
            records.append(_read(entry))
        except ValueError as error:
            obsolete.append(str(error))
    return Contents(tuple(records), tuple(obsolete))


def _read(record: Any) -> Record:
    seconds = [float(second) for second in record.run_secs or ()]
    if not seconds or record.target is None:
        raise ValueError("a record without seconds or target")
    return Record(read_marker(record.workload.mod), record.trace, seconds[0], record.target)


def write_records(folder: Path, records: Iterable[Record], meta: Mapping[str, Any]) -> None:
    """Puts `records` in place of what the folder holds, ordered by workload. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as staging:
        database = ms.database.JSONDatabase(work_dir=staging, allow_missing=True)
        for record in sorted(records, key=_order):
            workload = database.commit_workload(marker(record.key))
            database.commit_tuning_record(
                ms.database.TuningRecord(record.trace, workload, [record.seconds], record.target)
            )
        (Path(staging) / META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        for name in (WORKLOADS, TRACES, META):
            (Path(staging) / name).replace(folder / name)


def _order(record: Record) -> tuple[str, str, int, float]:
    """So that a new record changes one line, whenever it was found."""
    key = record.key
    return key.template, workload_to_json(key.workload), key.threads, record.seconds
