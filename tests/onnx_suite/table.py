"""The committed table: what becomes of every case, `right` or `refused: <reason>`, and no third kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.onnx_suite.cases import BOUND
from tests.onnx_suite.pool import Verdict

PATH = Path(__file__).with_name("table.json")


def read() -> dict[str, str]:
    """A row for each case, by name."""
    rows: dict[str, str] = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    return rows


def row(verdict: Verdict) -> str:
    kind, detail = verdict
    return kind if kind == "right" else f"{kind}: {detail}"


def update(verdicts: Mapping[str, Verdict], everything: bool) -> None:
    """Write the rows of these cases; those of others stay unless these are all."""
    rows = {} if everything else read()
    rows.update({name: row(verdict) for name, verdict in verdicts.items()})
    text = json.dumps(dict(sorted(rows.items())), indent=0, ensure_ascii=False)
    PATH.write_text(f"{text}\n", encoding="utf-8")


def problems(verdicts: Mapping[str, Verdict], against_table: bool = True) -> list[str]:
    """One line for each case that is neither right nor refused, or is the other of both than its row says."""
    rows = read() if against_table else {}
    found = []
    for name, verdict in verdicts.items():
        if verdict[0] not in ("right", "refused"):
            found.append(f"{name}: {row(verdict)}")
        elif against_table and rows.get(name, "").partition(":")[0] != verdict[0]:
            found.append(f"{name}: the table says {rows.get(name)!r}, now it is {row(verdict)!r}")
    return found


def right_cases(verdicts: Mapping[str, Verdict]) -> tuple[int, int]:
    """How many cases are right in at least one of their two forms, and how many there are."""
    kinds: dict[str, set[str]] = {}
    for name, (kind, _) in verdicts.items():
        kinds.setdefault(name.removesuffix(BOUND), set()).add(kind)
    return sum("right" in seen for seen in kinds.values()), len(kinds)
