"""The refusals that every template shares."""

from __future__ import annotations

from schedules import epilogue
from schedules.workload import Workload


def refusal(workload: Workload, kind: type[Workload], description: str) -> str | None:
    """Why a template for `kind` does not take `workload`, by kind, dtype or epilogue; None if it does."""
    if not isinstance(workload, kind):
        return f"not {description}"
    if workload.dtype != "float32":
        return f"dtype {workload.dtype}, only float32 is scheduled"
    return epilogue.refusal(workload.epilogue)
