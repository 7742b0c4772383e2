"""Which decisions a compilation follows: records of this machine, found by workload and threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import tvm

from schedules.template import Decisions, ScheduleError
from schedules.tuning.database import Record, is_database, read_database
from schedules.tuning.space import key_of
from schedules.workload import Workload


@attrs.frozen
class Records:
    """by_workload: decisions, by threads too.  skipped: records that are not followed, with the reason."""

    by_workload: Mapping[tuple[Workload, int], Decisions] = attrs.field(factory=dict)
    skipped: tuple[str, ...] = ()

    def decisions(self, workload: Workload, threads: int) -> Decisions | None:
        """The recorded decisions, or None where the defaults apply."""
        return self.by_workload.get((workload, threads))

    def __len__(self) -> int:
        return len(self.by_workload)


NO_RECORDS = Records()


class _Replayed(Mapping[tuple[Workload, int], Decisions]):
    """The decisions of records, replayed when they are asked for: a compilation needs few of them."""

    def __init__(self, records: Mapping[tuple[Workload, int], Record]) -> None:
        self._records = records

    def __getitem__(self, key: tuple[Workload, int]) -> Decisions:
        return self._records[key].decisions

    def __iter__(self) -> Iterator[tuple[Workload, int]]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


def load_records(folder: Path, target: tvm.target.Target) -> Records:
    """The records for `target` in `folder`, which is a database or holds one a machine.

    Raises RecordsError for a database that cannot be read.
    """
    own = folder if is_database(folder) else folder / machine_name(target)
    if not is_database(own):
        return NO_RECORDS
    contents = read_database(own)
    found = select(contents.records, target)
    return attrs.evolve(found, skipped=(*found.skipped, *contents.obsolete))


def select(records: Iterable[Record], target: tvm.target.Target) -> Records:
    """Of records, fastest first, those that were measured on `target`'s machine with today's templates."""
    found: dict[tuple[Workload, int], Record] = {}
    skipped = []
    for record in records:
        reason = _refusal(record, target)
        key = (record.key.workload, record.key.threads)
        if reason is not None:
            skipped.append(f"{record.key.template} for {describe(record.key.workload)}: {reason}")
        elif key not in found:
            found[key] = record
    return Records(_Replayed(found), tuple(skipped))


def machine_key(target: tvm.target.Target) -> tuple[Any, ...]:
    """What two targets must share for records of one to serve the other: all but the number of cores."""
    attributes = {str(name): value for name, value in target.attrs.items() if str(name) != "num-cores"}
    return str(target.kind.name), tuple(sorted((name, str(value)) for name, value in attributes.items()))


def machine_name(target: tvm.target.Target) -> str:
    """Folder name for a target's records: `llvm-znver4`, with features that were switched appended."""
    parts = [str(target.kind.name)]
    parts += [str(target.attrs[name]) for name in ("mtriple", "mcpu") if target.attrs.get(name)]
    parts += [str(feature).lstrip("+") for feature in target.attrs.get("mattr") or ()]
    return "-".join(part.strip("-").replace("/", "-") for part in parts)


def describe(workload: Workload) -> str:
    """A workload in a few words: what makes it another than the simplest, and the steps of its epilogue."""
    words = []
    for name, value in attrs.asdict(workload, recurse=False).items():
        if isinstance(value, str) and name != "dtype":
            words.append(value)
        elif isinstance(value, tuple) and name != "epilogue":
            words.append(f"{len(value)} {name}")
        elif isinstance(value, int) and value not in (0, 1):
            words.append(f"{name} {value}")
    if workload.epilogue:
        words.append("+ " + " + ".join(op.kind for op in workload.epilogue))
    return ", ".join(words)


def _refusal(record: Record, target: tvm.target.Target) -> str | None:
    if machine_key(record.target) != machine_key(target):
        return f"measured on {machine_name(record.target)}"
    try:
        current = key_of(record.key.workload, target, record.key.threads).template
    except ScheduleError as error:
        return str(error)
    return None if current == record.key.template else f"the template is {current} now"
