"""Where a compilation finds its tuning records: those that come with shiftc, or a folder of the user's."""

from __future__ import annotations

from pathlib import Path

from tvm.target import Target

from schedules.tuning.database import RecordsError, is_database
from schedules.tuning.records import NO_RECORDS, Records, load_records, machine_name
from shiftc.options import SHIPPED_RECORDS


def find_records(folder: Path | None, target: Target) -> Records:
    """The records for `target`, and why others are not followed.

    folder: a database that `shiftc tune` wrote, or a folder of them by machine; None for no records.
    Raises RecordsError for a folder that holds no records or damaged ones; that none are shipped for a target
    is no error.
    """
    if folder is None:
        return NO_RECORDS
    machines = sorted(path.name for path in folder.glob("*") if is_database(path))
    if is_database(folder) or machine_name(target) in machines:
        return load_records(folder, target)
    if folder == SHIPPED_RECORDS:
        return NO_RECORDS
    if not machines:
        raise RecordsError(f"there are no tuning records in '{folder}'")
    return Records(skipped=(f"'{folder}' has records for {', '.join(machines)}, not {machine_name(target)}",))
