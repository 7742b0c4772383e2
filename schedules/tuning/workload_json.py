"""A workload as text and back; the text stands in the database, where it is what a record is found by."""

from __future__ import annotations

import json
from typing import Any, get_args

import attrs

from schedules.workload import EpilogueOp, Workload

_CLASSES: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Workload)}


def workload_to_json(workload: Workload) -> str:
    """One line: the fields by name, and `class`."""
    fields = {"class": type(workload).__name__, **attrs.asdict(workload)}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def workload_from_json(text: str) -> Workload:
    """Reads what `workload_to_json` wrote; a field added since then takes its default.

    Raises ValueError for anything else, and for a workload that no longer exists.
    """
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("class") not in _CLASSES:
        raise ValueError(f"no workload: {text[:80]}")
    kind = _CLASSES[data.pop("class")]
    try:
        fields = {name: _frozen(value) for name, value in data.items()}
        fields["epilogue"] = tuple(_epilogue_op(op) for op in data.get("epilogue", ()))
        workload: Workload = kind(**fields)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error
    return workload


def _epilogue_op(fields: dict[str, Any]) -> EpilogueOp:
    return EpilogueOp(**{name: _frozen(value) for name, value in fields.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
