"""Searches the decisions of models' kernels on this machine and keeps what beats the defaults."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from tvm.target import Target

from schedules.registry import TEMPLATES
from schedules.tuning.database import Record, is_database, read_database, write_records
from schedules.tuning.records import machine_key, machine_name, select
from schedules.tuning.space import Key, Space
from schedules.tuning.task import Task
from schedules.tuning.tune import Budget, Outcome, tune
from shiftc.bench.machine import this_machine
from shiftc.build import import_file
from shiftc.cpu_features import missing_features
from shiftc.errors import OutputError, TargetElsewhereError, TuningFailedError
from shiftc.manifest import Versions
from shiftc.options import ModelOptions, TuneOptions
from shiftc.progress import Progress, silent
from shiftc.refusals import in_words_of
from shiftc.target import describe_target, machine_of, parse_target, required_features
from tvm_passes.pipeline import PipelineOptions, lower_module
from tvm_passes.tasks import tasks_of


@attrs.frozen
class WorkloadReport:
    """One workload's outcome, the `number`-th of `total`; `template` is `kind/version`."""

    number: int
    total: int
    template: str
    outcome: Outcome


@attrs.frozen
class TuneReport:
    """outcomes: in the order of the search; records: how many the folder holds now."""

    folder: Path
    outcomes: tuple[Outcome, ...]
    records: int


def tune_models(
    options: TuneOptions,
    report: Callable[[WorkloadReport], None] = lambda _: None,
    progress: Progress = silent,
) -> TuneReport:
    """Searches every distinct workload of the models; a record is on disk before the next search begins.

    Raises TargetElsewhereError for a target this machine cannot execute, OutputError for a folder that cannot
    be written or holds another machine's records, RecordsError for one with damaged records,
    TuningFailedError where not one kernel could be measured, and what importing and compiling raise.
    """
    target = parse_target(options.target)
    _check_here(options.target, target)
    folder = options.output or Path("tuning_logs") / machine_name(target)
    records = _records_of(folder, target)
    _write(folder, target, records)
    networks = [tasks_of_model(model, progress) for model in options.models]

    def keep(space: Space, outcome: Outcome, number: int, total: int) -> None:
        if outcome.best is not None:
            records[space.key] = Record.of(space, outcome.best, outcome.seconds, target)
        elif outcome.trials:
            records.pop(space.key, None)
        _write(folder, target, records)
        report(WorkloadReport(number, total, space.key.template, outcome))

    known = select(records.values(), target).by_workload
    budget = Budget(options.trials, options.minutes, options.timeout)
    outcomes = tune(networks, target, budget, keep, known, options.seed, progress)
    if outcomes and all(outcome.failure is not None for outcome in outcomes):
        raise TuningFailedError(f"no kernel can be measured here: {outcomes[0].failure}")
    return TuneReport(folder, tuple(outcomes), len(records))


def _check_here(text: str, target: Target) -> None:
    architecture, missing = machine_of(target), missing_features(required_features(target))
    if architecture != platform.machine():
        raise TargetElsewhereError(f"target '{text}' is {architecture}, this machine is {platform.machine()}")
    if missing:
        raise TargetElsewhereError(f"target '{text}' needs {', '.join(missing)}, which this processor lacks")


def _records_of(folder: Path, target: Target) -> dict[Key, Record]:
    """The folder's records, the fastest of each key."""
    records: dict[Key, Record] = {}
    for record in read_database(folder).records if is_database(folder) else ():
        if machine_key(record.target) != machine_key(target):
            raise OutputError(
                f"'{folder}' holds records of {machine_name(record.target)}, not of {machine_name(target)}"
            )
        records.setdefault(record.key, record)
    return records


def tasks_of_model(model: ModelOptions, progress: Progress = silent) -> list[Task]:
    """What there is to tune in a model. Raises what importing and compiling raise."""
    progress(f"importing {model.model.name}")
    imported = import_file(model)
    progress(f"lowering {model.model.name}")
    options = PipelineOptions(threads=model.threads, node_of_var=imported.node_of_var)
    with in_words_of(imported, model.model):
        lowered = lower_module(imported.module, parse_target(model.target), options)
    return tasks_of(lowered)


def _write(folder: Path, target: Target, records: dict[Key, Record]) -> None:
    try:
        write_records(folder, records.values(), _meta(target, records))
    except OSError as error:
        raise OutputError(f"cannot write tuning records to '{folder}': {error.strerror}") from error


def _meta(target: Target, records: dict[Key, Record]) -> dict[str, Any]:
    """Where and with what the records were measured; nothing changes from one day to the next."""
    return {
        "machine": attrs.asdict(this_machine()),
        "target": describe_target(target),
        "cpu_features": list(required_features(target)),
        "versions": attrs.asdict(Versions.installed()),
        "templates": {template.kind: template.version for template in TEMPLATES},
        "threads": sorted({key.threads for key in records}),
        "records": len(records),
    }
